// The list of jobs, newest first, as the service tells them.

import { list, mp3, remove } from "./api.js";
import { announce, button, confirmed, element, find, icon } from "./dom.js";
import { follow } from "./events.js";
import { bytes, left, length, moment } from "./format.js";
import { add } from "./uploads.js";

const PHASES = { copying: "Copying", measuring: "Measuring the loudness", encoding: "Converting" };
const WORDS = { queued: "Waiting", converting: "Converting", ready: "Ready", failed: "Failed" };

let rows = new Map();       // by the id of the job
let files = new Map();      // {file, options} of the jobs that came from here
let removed = new Set();    // so that a late event does not bring them back
let oldest = null;          // where "more" goes on; null: nowhere
let session = 0;            // answers to an earlier one are not for this
let playing = null;
let unfollow = null;

export async function start() {
    find("more").onclick = more;
    await load();
}

export function clear() {
    session++;
    unfollow?.();
    unfollow = null;
    playing?.stop();
    rows = new Map();
    files = new Map();
    removed = new Set();
    oldest = null;
    find("jobs").replaceChildren();
    find("jobs-error").textContent = "";
    find("jobs-none").hidden = true;
    find("connection").hidden = true;
    find("more").hidden = true;
}

// A job that was uploaded from here.
export function stored(job, file, options) {
    files.set(job.id, { file, options });
    show(job);
    announce(`${file.name} was uploaded and will be converted`);
}

async function load(after = null) {
    const asked = session;
    const pressed = find("more");

    pressed.disabled = true;
    find("jobs-error").textContent = "";
    try {
        const page = await list(after);

        if (asked !== session) {
            return;
        }
        oldest = page.next;
        page.jobs.forEach(show);
        pressed.hidden = oldest === null;
        pressed.textContent = "Show more";
        count();
        // not before: a job that is older than what is listed would come without
        // those between; those that change meanwhile are told at the beginning
        unfollow ??= follow(show, connected => {
            find("connection").hidden = connected;
        });
    } catch (error) {
        if (asked === session) {
            find("jobs-error").textContent = error.message;
            pressed.hidden = false;
            pressed.textContent = after ? "Show more" : "Try again";
        }
    } finally {
        pressed.disabled = false;
    }
}

async function more() {
    const before = find("jobs").childElementCount;

    await load(oldest);
    const first = find("jobs").children[before];

    if (first && find("more").hidden) {
        first.querySelector("h3").focus();
    }
}

function count() {
    find("jobs-none").hidden = rows.size > 0;
}

function show(job) {
    // an upload is shown where it is made, and may yet be given up
    if (job.state === "uploading" || removed.has(job.id) || (oldest !== null && job.id < oldest && !rows.has(job.id))) {
        return;
    }

    const row = rows.get(job.id);

    if (row) {
        row.update(job);
        return;
    }

    const made = new Row(job);
    const older = [...find("jobs").children].find(item => item.dataset.id < job.id);

    rows.set(job.id, made);
    find("jobs").insertBefore(made.item, older ?? null);
    count();
}

class Row {
    constructor(job) {
        this.job = job;
        this.name = job.name ?? "Video without a name";
        this.badge = element("span", { class: "badge" });
        this.bar = element("progress", { max: 100, "aria-label": `Conversion of ${this.name}` });
        this.text = element("p", { class: "quiet" });
        this.error = element("p", { class: "error" });
        this.actions = element("div", { class: "actions" });
        this.player = element("div", { class: "player" });
        this.item = element("li", { class: "card row", "data-id": job.id },
                            element("div", { class: "head" },
                                    element("h3", { tabindex: "-1" }, this.name), this.badge),
                            this.bar, this.text, this.error, this.player, this.actions);
        this.render();
    }

    update(job) {
        const before = this.job;

        if (job.updated < before.updated) {
            return;
        }
        this.job = job;
        this.render(before);
        if (job.state !== before.state && job.state === "ready") {
            announce(`${this.name} is ready`);
        }
        if (job.state !== before.state && job.state === "failed") {
            announce(`${this.name} failed. ${job.reason ?? ""}`);
        }
    }

    render(before = null) {
        const { state, progress } = this.job;
        const working = state === "queued" || state === "converting";

        this.bar.hidden = !working;
        if (typeof progress === "number") {
            this.bar.value = progress;
        } else {
            this.bar.removeAttribute("value");
        }
        this.text.textContent = this.describe();
        if (before?.state === state) {
            return;
        }

        const focused = this.actions.contains(document.activeElement);

        this.badge.className = `badge ${state}`;
        this.badge.replaceChildren(icon(state === "ready" || state === "failed" ? state : "work"),
                                   WORDS[state] ?? state);
        this.error.textContent = state === "failed" ? this.reason() : "";
        this.actions.replaceChildren(...this.choices());
        if (focused) {
            (this.actions.querySelector("button") ?? find("jobs-title")).focus();
        }
    }

    describe() {
        const { state, phase, progress, remaining, duration, created } = this.job;
        const mp3_size = this.job.mp3_size;
        const percent = typeof progress === "number" ? `${progress} %` : null;
        const parts = {
            queued: ["Waiting for its turn"],
            converting: [PHASES[phase] ?? "Starting", percent,
                         typeof remaining === "number" ? left(remaining) : null],
            ready: [typeof duration === "number" ? length(duration) : null, bytes(mp3_size ?? 0),
                    moment(created)],
            failed: [bytes(this.job.size ?? 0), moment(created)],
        };

        return (parts[state] ?? [moment(created)]).filter(Boolean).join(" · ");
    }

    reason() {
        const text = this.job.reason ?? "it could not be converted";

        return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
    }

    choices() {
        const { id, state } = this.job;
        const made = (...rest) => button(rest[0], this.name, ...rest.slice(1));
        const choices = [];

        if (state === "ready") {
            choices.push(made("Play", "play", event => this.play(event.currentTarget)),
                         made("Download", "download", event => this.download(event.currentTarget),
                              "primary"));
        }
        if (state === "failed" && files.has(id)) {
            choices.push(made("Try again", "retry", () => this.again()));
        }
        choices.push(made("Delete", "delete", () => this.delete()));
        return choices;
    }

    // Runs what takes a while for a button; the button says so meanwhile.
    async during(pressed, text, work) {
        const label = pressed.querySelector("span");
        const before = label.textContent;

        if (pressed.getAttribute("aria-busy") === "true") {
            return;
        }
        pressed.setAttribute("aria-busy", "true");
        label.textContent = text;
        this.error.textContent = "";
        try {
            await work();
        } catch (error) {
            this.error.textContent = error.message;
            announce(error.message);
        } finally {
            pressed.removeAttribute("aria-busy");
            label.textContent = before;
        }
    }

    play(pressed) {
        if (playing?.row === this) {
            playing.audio.play();
            playing.audio.focus();
            return;
        }
        this.during(pressed, "Loading…", async () => {
            const asked = session;
            const { blob } = await mp3(this.job.id);

            if (asked !== session || !this.item.isConnected) {
                return;
            }
            playing?.stop();
            playing = new Player(this, blob, pressed);
        });
    }

    download(pressed) {
        this.during(pressed, "Loading…", async () => {
            const { blob, name } = await mp3(this.job.id);
            const address = URL.createObjectURL(blob);

            element("a", { href: address, download: name }).click();
            // the browser takes the blob after this turn
            setTimeout(() => URL.revokeObjectURL(address), 60000);
            announce(`${name} was downloaded`);
        });
    }

    async delete() {
        const { id } = this.job;
        const asked = session;

        if (!await confirmed(`“${this.name}” and its MP3 will be removed for good.`)) {
            return;
        }
        try {
            await remove(id);
        } catch (error) {
            if (error.status !== 404) {
                this.error.textContent = error.message;
                announce(error.message);
                return;
            }
        }
        if (asked === session) {
            this.leave();
            announce(`${this.name} was deleted`);
            find("jobs-title").focus();
        }
    }

    // Uploads the file once more; the failed job makes room for the new one.
    again() {
        const { file, options } = files.get(this.job.id);

        add(file, options);
        remove(this.job.id).catch(() => {});
        this.leave();
        find("uploads-title").focus();
    }

    leave() {
        const { id } = this.job;

        if (playing?.row === this) {
            playing.stop();
        }
        this.item.remove();
        rows.delete(id);
        files.delete(id);
        removed.add(id);
        count();
    }
}

// One at a time; its memory is given back when it stops.
class Player {
    constructor(row, blob, pressed) {
        this.row = row;
        this.address = URL.createObjectURL(blob);
        this.audio = element("audio", { controls: true, src: this.address, tabindex: "0",
                                        "aria-label": `${row.name}, as MP3` });
        row.player.replaceChildren(this.audio, button("Close", row.name, "close", () => {
            this.stop();
            pressed.focus();
        }));
        this.audio.play().catch(() => {
            // not allowed without a further click: the controls are there
        });
        this.audio.focus();
    }

    stop() {
        this.audio.pause();
        this.audio.removeAttribute("src");
        this.audio.load();
        this.row.player.replaceChildren();
        URL.revokeObjectURL(this.address);
        playing = null;
    }
}
