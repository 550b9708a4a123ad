"""The page, in a browser, as people use it.

V2M_PICTURES=DIR keeps a picture of each state there, on a phone and on a desk.
"""

import os
import pathlib
import uuid

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import media
from accounts import (  # noqa: F401, the fixtures
    gateway, mailer, open_gateway, requests, token_of)
from conftest import ROOT, wait_for
from notices import notifier  # noqa: F401, a fixture
from users import environment, mariadb, admin_password, user  # noqa: F401

pytestmark = pytest.mark.release_only

PASSWORD = "right horse, näïve battery"
PICTURES = os.environ.get("V2M_PICTURES")

PHONE = (320, 640)
DESK = (1200, 800)

AXE, = (ROOT / "build" / "page").glob("lib/*/site-packages/"
                                      "axe_playwright_python/axe.min.js")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu",
                     "--disable-dev-shm-usage", "--no-proxy-server",
                     "--hide-scrollbars",
                     "--autoplay-policy=no-user-gesture-required",
                     f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {
        "download.default_directory": str(tmp_path_factory.mktemp("saved")),
        # its words about leaked passwords would cover the page
        "profile.password_manager_leak_detection": False,
        "credentials_enable_service": False,
    })
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options,
                              service=Service("/usr/bin/chromedriver"))
    driver.saved = pathlib.Path(
        options.experimental_options["prefs"]["download.default_directory"])
    yield driver
    driver.quit()


class Page:
    """What a person does with it, and what they see."""

    def __init__(self, driver, url, email):
        self.driver = driver
        self.email = email
        self.size(DESK)
        self.scheme("light")
        self.network()
        driver.get(url + "/")
        driver.execute_script("sessionStorage.clear()")
        driver.get(url + "/")
        driver.get_log("browser")

    def size(self, size):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1,
            "mobile": False})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [
                {"name": "prefers-color-scheme", "value": name},
                {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def all(self, selector):
        return [found for found
                in self.driver.find_elements(By.CSS_SELECTOR, selector)
                if found.is_displayed()]

    def see(self, selector, text="", timeout=20.0):
        """The first that is shown, and has the text, once there is one."""
        def look():
            try:
                return next((found for found in self.all(selector)
                             if text in found.text), None)
            except WebDriverException:  # it was replaced meanwhile
                return None
        return wait_for(look, timeout, what=f"{text!r} in {selector}")

    def none(self, selector):
        wait_for(lambda: not self.all(selector), what=f"no {selector}")

    def press(self, text, within=""):
        self.see(f"{within} button", text).click()

    def focused(self, name="id"):
        """An attribute of what has the focus."""
        return self.driver.execute_script(
            "return document.activeElement.getAttribute(arguments[0])",
            name) or ""

    def network(self, offline=False, upload=-1):
        """What it is like from now on; upload is in bytes per second."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {
            "offline": offline, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": upload})

    def sign_in(self, password=PASSWORD):
        for name, value in (("email", self.email), ("password", password)):
            field = self.see(f"#{name}")
            field.clear()
            field.send_keys(value)
        self.press("Sign in", "#sign-in")

    def choose(self, *paths):
        self.driver.find_element(By.ID, "files").send_keys(
            "\n".join(str(path) for path in paths))

    def tab_to(self, **wanted):
        """Presses the tabulator until the focus is on what has such
        attributes."""
        for _ in range(30):
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            if all(value in self.focused(name.replace("_", "-"))
                   for name, value in wanted.items()):
                return
        pytest.fail(f"the tabulator did not come to {wanted}")

    def check(self, name):
        """No rule of accessibility is broken, and nothing needs scrolling to
        the side, in this state."""
        for where, size in (("phone", PHONE), ("desk", DESK)):
            self.size(size)
            for scheme in ("light", "dark"):
                self.scheme(scheme)
                assert self.driver.execute_script(
                    "return document.documentElement.scrollWidth"
                ) <= size[0], name
                if PICTURES:
                    self.picture(f"{name}-{where}-{scheme}.png", size)
                if (where, scheme) in (("phone", "light"), ("desk", "dark")):
                    self.axe(f"{name}, {where}, {scheme}")
        self.scheme("light")

    def axe(self, name):
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(AXE.read_text())
        result = self.driver.execute_async_script(
            "axe.run(document, {preload: false}).then(arguments[0])")
        assert len(result["passes"]) > 5
        assert not result["violations"], (name, [
            (found["id"], found["help"],
             [node["html"] for node in found["nodes"]])
            for found in result["violations"]])

    def picture(self, name, size):
        height = self.driver.execute_script(
            "return document.documentElement.scrollHeight")
        self.size((size[0], max(height, size[1])))
        pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(pathlib.Path(PICTURES) / name))
        self.size(size)

    def complaints(self, *statuses):
        """What the browser complained of, but for answers with a status that
        the test asked for."""
        return [entry for entry in self.driver.get_log("browser")
                if not (entry["source"] == "network" and any(
                    f"status of {status} " in entry["message"]
                    for status in statuses))]


@pytest.fixture
def page(stack, browser, user):
    email = f"page-{uuid.uuid4().hex[:12]}@example.com"
    user("add", email, stdin=PASSWORD)
    return Page(browser, stack.url, email)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    made = media.ffmpeg("page.mp4", *media.tones(media.STEREO, 3),
                        "-c:a", "aac")
    place = tmp_path_factory.mktemp("videos") / "My holiday – Zürich.mp4"
    place.write_bytes(pathlib.Path(made).read_bytes())
    return place


def test_whole_way(page, stack, video):
    page.check("sign-in")
    page.sign_in()
    page.see("#jobs-none")
    assert page.focused() == "work-title"

    page.see("summary", "Options").click()
    page.driver.find_element(
        By.CSS_SELECTOR, "#quality option[value='bitrate=128']").click()
    page.see("#start").send_keys("0:01")
    page.see("#end").send_keys("0.5")
    page.choose(video)
    page.see("#end-error", "after the beginning")
    assert page.focused() == "end"
    page.check("options")
    page.see("#end").clear()
    page.choose(video)
    row = page.see("#jobs > li", "Ready")
    assert video.name in row.text and "0:02" in row.text
    assert page.driver.find_element(By.ID, "status").get_attribute(
        "textContent").strip() == f"{video.name} is ready"
    page.none("#uploads-section")
    job = stack.job(row.get_attribute("data-id"))
    assert job["options"]["bitrate"] == 128

    page.press("Play", "#jobs")
    page.see("#jobs audio")
    duration = wait_for(lambda: page.driver.execute_script(
        "const it = document.querySelector('audio');"
        "return it.error ? it.error.message : it.duration"))
    assert duration == pytest.approx(2, abs=0.1)
    page.driver.execute_script("document.querySelector('audio').currentTime=1")
    page.check("player")
    blob = page.driver.find_element(By.TAG_NAME, "audio").get_attribute("src")
    page.press("Close", "#jobs")
    assert page.driver.execute_async_script(
        "fetch(arguments[0]).then(() => arguments[1]('there'),"
        " () => arguments[1]('gone'))", blob) == "gone"
    # that fetch failed, as it should
    page.driver.get_log("browser")

    page.press("Download", "#jobs")
    saved = page.driver.saved / f"{video.stem}.mp3"
    wait_for(saved.exists, what=saved)
    assert saved.read_bytes()[:3] == b"ID3"

    page.press("Delete", "#jobs")
    page.see("#confirm", video.name)
    page.check("delete")
    page.press("Keep it", "#confirm")
    page.press("Delete", "#jobs")
    page.press("Delete", "#confirm")
    page.see("#jobs-none")
    assert stack.job(str(job["_id"])) is None

    page.press("Sign out")
    page.see("#sign-in")
    assert not page.complaints()


def test_errors(page, tmp_path):
    page.sign_in("wrong")
    page.see("#sign-in-error", "E-mail or password is wrong.")
    assert page.focused() == "password"
    page.check("wrong-password")
    page.sign_in()
    page.see("#jobs-none")

    text = tmp_path / "a <b>text<!-- &amp;.mp4"
    text.write_text("This is no video.\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    page.choose(text, empty)
    page.see("#drop-error", "empty.mp4")
    row = page.see("#jobs > li", "Failed")
    assert text.name in row.text
    assert row.find_element(By.CSS_SELECTOR, ".error").text
    page.check("failed")
    first = row.get_attribute("data-id")
    page.press("Try again", "#jobs")
    again = wait_for(lambda: [
        found for found in page.all("#jobs > li")
        if found.get_attribute("data-id") != first and "Failed" in found.text])
    assert len(again) == len(page.all("#jobs > li")) == 1

    # the options that the page does not judge are the service's to refuse
    page.driver.execute_script(
        "document.querySelector('#quality').selectedOptions[0].value ="
        " 'quality=99'")
    page.choose(text)
    page.see("#uploads .error", "quality")
    page.check("refused")
    page.press("Dismiss", "#uploads")
    page.none("#uploads-section")
    assert not page.complaints(401, 422)


def test_progress(page, video, tmp_path):
    """Of uploads, which can be canceled, and of a conversion."""
    long = pathlib.Path(media.ffmpeg(
        "long.flac", *media.tones(media.STEREO, 100), "-c:a", "flac"))
    page.sign_in()
    page.see("#jobs-none")
    page.network(upload=200000)
    page.choose(long, video)
    page.see("#uploads > li", "/s")
    page.check("uploading")
    page.press("Cancel", "#uploads")
    assert long.name not in page.see("#work").text
    assert page.focused() in ("uploads-title", "jobs-title")
    page.network()
    page.see("#jobs > li", "Ready")
    assert page.focused() == "jobs-title"

    page.see("summary", "Options").click()
    page.driver.find_element(
        By.CSS_SELECTOR, "#loudnorm option[value=on]").click()
    page.choose(long)
    page.see("#jobs > li", " %")
    page.check("converting")
    page.see("#jobs > li[data-id]", "1:40", timeout=60)
    assert [item.text.split("\n")[0] for item in page.all("#jobs > li")] == [
        long.name, video.name]
    page.check("ready")
    assert not page.complaints()


def test_many(page):
    """Dropped, and listed in parts, newest first, after a reload."""
    page.see("#stay").click()
    page.sign_in()
    page.see("#jobs-none")
    page.driver.execute_script("""
        const dropped = new DataTransfer();
        for (let i = 1; i <= 21; i++) {
            dropped.items.add(new File(["no video"], `${i}.mp4`));
        }
        document.querySelector("#drop").dispatchEvent(new DragEvent(
            "drop", {bubbles: true, cancelable: true,
                     dataTransfer: dropped}));
    """)
    wait_for(lambda: len(page.all("#jobs .badge.failed")) == 21,
             what="21 failed jobs")
    names = [item.text for item in page.all("#jobs h3")]

    page.driver.refresh()
    more = page.see("#more", "Show more")
    assert [item.text for item in page.all("#jobs h3")] == names[:20]
    more.click()
    wait_for(lambda: len(page.all("#jobs h3")) == 21)
    page.none("#more")
    assert [item.text for item in page.all("#jobs h3")] == names
    assert not page.complaints()


def test_session(page, stack):
    """A reload signs out, unless staying was asked for; a token that the
    service refuses ends the session here as well."""
    page.sign_in()
    page.see("#work")
    page.driver.refresh()
    page.see("#stay").click()
    page.sign_in()
    page.see("#work")
    page.driver.refresh()
    page.see("#account-name", page.email)
    page.see("#jobs-none")

    page.driver.execute_async_script(
        "const {token} = JSON.parse(sessionStorage.getItem('v2m-session'));"
        "fetch('logout', {method: 'POST', credentials: 'omit',"
        " headers: {Authorization: `Bearer ${token}`}}).then(arguments[0])")
    page.driver.refresh()
    page.see("#sign-in-error", "session has ended")
    assert page.driver.execute_script("return sessionStorage.length") == 0
    assert not page.complaints(401)


def test_lost_connection(page, stack, video):
    """An upload goes on by itself when the connection is back."""
    page.sign_in()
    page.see("#jobs-none")
    page.network(offline=True)
    page.choose(video)
    page.see("#uploads .error", "Trying again")
    page.check("offline")
    page.network()
    page.see("#jobs > li", "Ready", timeout=60)
    assert len(page.all("#jobs > li")) == 1
    assert not [entry for entry in page.complaints()
                if "ERR_INTERNET_DISCONNECTED" not in entry["message"]]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """No video, so that nobody has to wait for its conversion."""
    place = tmp_path_factory.mktemp("videos") / "Lecture (1).mp4"
    place.write_bytes(os.urandom(1_500_000))
    return place


def begun(page, stack):
    """The record of the page's only upload, once some of it is stored."""
    def look():
        records = list(stack.jobs.find({"username": page.email}))
        assert len(records) <= 1
        return records and records[0]["tus_offset"] > 0 and records[0]
    return wait_for(look, what="some of the upload to be stored")


def test_cut_upload(page, stack, large):
    """Of what was stored before the connection was lost nothing is sent
    again."""
    size = large.stat().st_size
    page.sign_in()
    page.see("#jobs-none")
    page.network(upload=size / 4)
    page.choose(large)
    before = begun(page, stack)
    page.network(offline=True)
    page.see("#uploads .error", "Trying again")
    page.network(upload=4 * size)
    page.see("#jobs > li", "Failed")
    after, = stack.jobs.find({"username": page.email})
    assert after["_id"] == before["_id"]
    assert not page.driver.execute_script("return localStorage.length")


def test_upload_after_a_reload(page, stack, large, video):
    """The page knows what was interrupted, and goes on when the same file is
    chosen again; or it is discarded."""
    size = large.stat().st_size
    page.see("#stay").click()
    page.sign_in()
    page.see("#jobs-none")
    page.network(upload=size / 4)
    page.choose(large)
    before = begun(page, stack)
    page.driver.refresh()
    page.network()
    page.see("#uploads > li", "Interrupted at")
    page.check("interrupted")

    # another file is another upload
    page.choose(video)
    page.see("#jobs > li", video.name)
    page.see("#uploads > li", "Interrupted at")
    page.choose(large)
    page.see("#jobs > li", large.name)
    page.none("#uploads-section")
    after = stack.job(str(before["_id"]))
    assert after["state"] != "uploading" and after["size"] == size
    assert stack.jobs.count_documents({"username": page.email}) == 2
    assert not page.driver.execute_script("return localStorage.length")

    stack.jobs.delete_many({"username": page.email})
    page.network(upload=size / 4)
    page.choose(large)
    begun(page, stack)
    page.driver.refresh()
    page.network()
    page.see("#uploads > li", "Interrupted at")
    page.press("Discard", "#uploads")
    page.none("#uploads-section")
    wait_for(lambda: not list(stack.jobs.find({"username": page.email})),
             what="it to be removed")
    page.driver.refresh()
    page.see("#jobs-none")
    page.none("#uploads-section")


def test_keyboard(page, video):
    """All of it without a mouse."""
    tab_to = page.tab_to

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    tab_to(id="email")
    press(page.email)
    tab_to(id="password")
    press(PASSWORD, Keys.ENTER)
    wait_for(lambda: page.focused() == "work-title")
    tab_to(id="choose")
    page.choose(video)
    page.see("#jobs > li", "Ready")

    tab_to(aria_label="Play: ")
    press(Keys.ENTER)
    wait_for(lambda: page.focused("src").startswith("blob:"))
    tab_to(aria_label="Close: ")
    press(Keys.SPACE)
    assert "Play: " in page.focused("aria-label")
    tab_to(aria_label="Delete: ")
    press(Keys.ENTER)
    page.see("#confirm")
    press(Keys.ESCAPE)
    page.none("#confirm")
    assert "Delete: " in page.focused("aria-label")
    press(Keys.ENTER)
    tab_to(id="confirm-yes")
    press(Keys.ENTER)
    wait_for(lambda: page.focused() == "jobs-title")
    tab_to(id="sign-out")
    press(Keys.ENTER)
    wait_for(lambda: page.focused() == "sign-in-title")
    assert not page.complaints()


def test_accounts(stack, browser, gateway, mailer, requests):
    """From registering to signing in, and another password, by the keyboard."""
    email = f"new-{uuid.uuid4().hex[:12]}@example.com"
    page = Page(browser, gateway.url, email)
    mailer(V2M_PUBLIC_URL=gateway.url)

    def press(*keys):
        ActionChains(browser).send_keys(*keys).perform()

    def token(count):
        mails = wait_for(lambda: [found for found in [stack.mails(email)]
                                  if len(found) == count])[0]
        return token_of(mails[-1], gateway.url)

    def ask(text, title):
        page.see("#sign-in button", text).send_keys(Keys.ENTER)
        page.see("#ask h1", title)
        wait_for(lambda: page.focused() == "ask-title")
        page.tab_to(id="ask-email")
        field = page.see("#ask-email")
        field.clear()
        field.send_keys("nobody", Keys.ENTER)
        page.see("#ask-error", "address")
        page.check(f"ask-{text.split()[0]}")
        field.clear()
        field.send_keys(email, Keys.ENTER)
        page.see("#asked", email)
        assert page.focused() == "asked-title"

    def choose(secret, password):
        browser.get(f"{gateway.url}/#password={secret}")
        page.see("#set")
        assert browser.current_url == f"{gateway.url}/"
        assert page.focused() == "set-title"
        page.tab_to(id="new-password")
        press(password, Keys.ENTER)

    ask("Create an account", "Create an account")
    page.check("asked")
    page.press("Back to signing in", "#asked")
    assert page.focused() == "sign-in-title"

    first = token(1)
    choose(first, "short")
    assert page.see("#set")  # as the browser says why
    page.check("set")
    page.see("#reveal").click()
    assert page.see("#new-password").get_attribute("type") == "text"
    page.see("#new-password").clear()
    page.see("#new-password").send_keys(PASSWORD, Keys.ENTER)
    page.see("#sign-in-note", "password is set")
    page.check("set-done")
    page.sign_in()
    page.see("#jobs-none")
    page.press("Sign out")

    ask("Forgot your password?", "Reset your password")
    second = token(2)
    choose(first, PASSWORD)
    page.see("#set-error", "not valid any more")
    assert not page.all("#set-form")
    page.check("set-gone")
    browser.get("about:blank")
    choose(second, PASSWORD + " 2")
    page.see("#sign-in-note", "password is set")
    page.sign_in(PASSWORD + " 2")
    page.see("#jobs-none")

    # as the mail for who has an account already has it
    page.press("Sign out")
    page.see("#sign-in")
    browser.get(f"{gateway.url}/#reset")
    page.see("#ask h1", "Reset your password")
    assert not page.complaints(403, 422)


def test_no_accounts(stack, browser, tmp_path):
    """Where the service does not offer it, nothing of it is shown."""
    with open_gateway(stack, tmp_path / "run", V2M_ACCOUNTS="off") as closed:
        page = Page(browser, closed.url, None)
        page.see("#sign-in")
        browser.get(f"{closed.url}/#reset")
        browser.execute_async_script(
            "fetch('accounts.json').then(() => arguments[0]())")
        assert len(page.all("#sign-in button")) == 1
        assert not page.all("#ask")
        assert not page.complaints()


def test_the_api(page):
    """The page about the API, as the other one leads to it."""
    page.driver.get(page.driver.current_url + "docs.html")
    page.see("h1", "the API")
    page.check("api")
    for link in page.all("nav a")[::5] + page.all("td a")[:1]:
        target = link.get_attribute("href").partition("#")[2]
        link.click()
        assert page.driver.execute_script(
            "return document.querySelector(':target').id") == target
    assert not page.complaints()
