"""Two gateways behind nginx-conf/v2m-balancer.conf, each a machine of its own:
whichever of them a request comes to, it is the same service."""

import concurrent.futures
import re
import socket
import time
import urllib.parse
import uuid

import checks
from client import Client, add_user
from conftest import wait_for
from installation import site

# v2m_revocation of nginx-conf/v2m-http.conf, and for the request itself.
REVOKED_WITHIN = 10 + 2


def at(machine, user):
    """The same user, of this gateway."""
    return Client(machine.url, user.user, user.password, user.token)


def uploads(machine):
    return len(re.findall(r'"POST /upload', machine.log.read_text()))


def follow(user, job_id):
    """[(seconds, state)] of a job's events, until the end of the stream."""
    address = urllib.parse.urlsplit(user.url)
    seen = []
    with socket.create_connection((address.hostname, address.port or 80),
                                  60) as connection:
        connection.sendall(
            (f"GET /jobs/{job_id}/events HTTP/1.1\r\n"
             f"Host: {address.netloc}\r\nConnection: close\r\n"
             f"Authorization: Bearer {user.token}\r\n\r\n").encode())
        text = ""
        while data := connection.recv(65536):
            text += data.decode()
            states = re.findall(r'"state": ?"(\w+)"', text)
            for state in states[len(seen):]:
                seen.append((time.monotonic(), state))
    return seen


def one_user(tap, one, two):
    job = two.upload(checks.clip())
    one.ready(job["id"])
    checks.check_mp3(one.mp3(job["id"]), 1, checks.CLIP)
    tap.ok(True, "login at one gateway, upload at the other, and the MP3 from"
                 " the first one")
    one.delete(job["id"]).expect(204)
    tap.ok(two.request("GET", f"/jobs/{job['id']}").status == 404,
           "what one deletes is gone for the other")


def same_key(tap, one, two):
    clip = checks.clip().read_bytes()

    def upload(client, key):
        return client.request("POST", "/upload?name=clip.mp4", clip,
                              {"Idempotency-Key": key})

    key = str(uuid.uuid4())
    first = upload(one, key).expect(201).json()["id"]
    again = upload(two, key).expect(201).json()["id"]
    tap.ok(first == again, "an Idempotency-Key of one gateway is the other's")

    wrong = []
    for _ in range(10):
        key = str(uuid.uuid4())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda client: upload(client, key),
                                    (one, two, one, two)))
        made = {answer.json()["id"] for answer in answers
                if answer.status == 201}
        statuses = sorted(answer.status for answer in answers)
        if len(made) != 1 or set(statuses) - {201, 409}:
            wrong.append(f"{statuses}, jobs {made}")
    tap.nothing(wrong, "nor do both at once make two jobs of a key")


def events(tap, user, balanced):
    job = balanced.upload(checks.long_clip())
    seen = follow(balanced, job["id"])
    states = [state for _, state in seen]
    spread = seen[-1][0] - seen[0][0]
    tap.ok(states[-1] == "ready" and "converting" in states and spread > 0.5,
           "events come through the balancer as they happen", seen)
    checks.check_long(user.mp3(job["id"]))


def revoked(tap, place, one, two):
    """A token that ends at one gateway ends at the other."""
    other = Client(one.url, one.user, one.password).login()
    elsewhere = at(place.gateways[1], other)
    elsewhere.request("POST", "/validate").expect(200)
    other.request("POST", "/logout").expect(204)
    began = time.monotonic()
    wait_for(lambda: elsewhere.request("POST", "/validate").status == 401, 60,
             what="the other gateway to refuse the token")
    seconds = time.monotonic() - began
    tap.ok(seconds <= REVOKED_WITHIN and two.request(
        "POST", "/validate").status == 200,
        f"a logout at one reaches the other within {REVOKED_WITHIN} s, and no"
        " other token", seconds)
    tap.note(f"it took {seconds:.1f} s")


def spread(tap, place, balanced):
    before = [uploads(gateway) for gateway in place.gateways]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: balanced.upload(checks.clip()), range(20)))
    counts = [uploads(gateway) - count
              for gateway, count in zip(place.gateways, before)]
    tap.ok(min(counts) > 0 and sum(counts) == 20,
           "uploads are spread over both", counts)
    log = place.gateways[0].log.read_text()
    tap.ok(re.search(r'^10\.0\.0\.1 .*"POST /upload', log, re.MULTILINE),
           "a gateway knows the client's address, not the balancer's",
           log[-500:])


def loss(tap, place, balanced):
    """One gateway is gone, its machine still there."""
    place.kill_gateway(place.gateways[0])
    wrong = []
    made = []
    for number in range(30):
        answer = balanced.post(checks.clip())
        if answer.status == 201:
            made.append(answer.json()["id"])
        else:
            wrong.append(f"upload {number}: {answer.status}")
    tap.nothing(wrong, "the balancer leaves a gateway that is gone, and no"
                       " client sees it")
    again = Client(balanced.url, balanced.user, balanced.password).login()
    again.ready(made[-1], timeout=120)
    tap.ok(True, "tokens of the one that is gone are good, and so is a login")


def main(tap, run):
    with site(run) as place:
        place.start_gateways()
        place.start_converter()
        place.stack.url = place.gateways[0].url
        user = add_user(place.stack, "ann@example.org")
        one, two = (at(gateway, user) for gateway in place.gateways)
        balanced = Client(place.url, user.user, user.password, user.token)

        one_user(tap, one, two)
        same_key(tap, one, two)
        events(tap, one, balanced)
        revoked(tap, place, one, two)
        spread(tap, place, balanced)
        loss(tap, place, balanced)
        tap.nothing([f"{machine.name}: {line}" for machine in place.gateways
                     for line in alarms(run / machine.name / "nginx.log")],
                    "no gateway was alarmed")


def alarms(log):
    return [line for line in log.read_text().splitlines()
            if re.search(r"\[(alert|emerg)\]", line)]
