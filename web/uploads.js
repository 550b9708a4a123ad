// The list of uploads that are under way, were interrupted, or did not succeed.

import { announce, button, element, find } from "./dom.js";
import { bytes, left } from "./format.js";
import { forget, forgetAll, isOf, list } from "./remembered.js";
import { Upload } from "./upload.js";

// More at once are no faster, and the others wait without a connection.
const AT_ONCE = 2;

let waiting = [];
let running = new Set();
let interrupted = [];       // rows whose file is to be chosen again
let onStored = () => {};

// Calls onJob(job, file, options) for each upload that succeeded.
export function start(onJob) {
    onStored = onJob;
}

// A file that was chosen; of an upload that was interrupted it goes on with that
// one, as it was begun.
export function add(file, options) {
    const known = interrupted.find(row => isOf(row.entry, file));

    if (known) {
        known.resume(file);
        return;
    }

    const row = new Row(file.name, new Upload(file, options));

    row.text.textContent = `Waiting, ${bytes(file.size)}`;
    waiting.push(row);
    next();
}

// Shows the uploads that an earlier page was at, as far as the service still has
// them.
export async function restore() {
    for (const entry of list()) {
        const options = new URLSearchParams(entry.options);
        const upload = new Upload(null, options, entry.address);

        try {
            const { offset, job } = await upload.ask();

            if (job !== null) {
                forget(entry.address);
            } else if (list().some(({ address }) => address === entry.address)
                       && !shown(entry.address)) {
                new Row(entry.name, upload).interrupt(entry, offset);
            }
        } catch (error) {
            if (error.status === 404) {
                forget(entry.address);
            }
        }
    }
}

const shown = address => [...interrupted, ...waiting, ...running]
    .some(row => row.upload.address === address);

export const busy = () => waiting.length + running.size > 0;

// The session ended; whose it was may go on later.
export function clear() {
    waiting = [];
    interrupted = [];
    for (const row of running) {
        row.upload.stop();
    }
    running = new Set();
    find("uploads").replaceChildren();
    find("uploads-section").hidden = true;
}

// The person signs out: nothing is kept here.
export const forgetThem = forgetAll;

function next() {
    while (running.size < AT_ONCE && waiting.length > 0) {
        const row = waiting.shift();

        running.add(row);
        row.run().finally(() => {
            running.delete(row);
            next();
        });
    }
}

class Row {
    constructor(name, upload) {
        this.name = name;
        this.upload = upload;
        this.text = element("p", { class: "quiet" });
        this.error = element("p", { class: "error" });
        this.bar = element("progress", { max: 100, value: 0, "aria-label": `Upload of ${name}` });
        this.actions = element("div", { class: "actions" });
        this.item = element("li", { class: "card row" },
                            element("h3", {}, name), this.bar, this.text, this.error,
                            this.actions);
        this.offer("Cancel", "close", () => this.cancel());
        find("uploads").append(this.item);
        find("uploads-section").hidden = false;
    }

    offer(...choices) {
        this.actions.replaceChildren();
        for (let i = 0; i < choices.length; i += 3) {
            this.actions.append(button(choices[i], this.name, choices[i + 1], choices[i + 2]));
        }
    }

    // A page may not open a file by itself.
    interrupt(entry, offset) {
        this.entry = entry;
        this.bar.value = 100 * offset / entry.size;
        this.text.textContent = `Interrupted at ${bytes(offset)} of ${bytes(entry.size)}. `
            + "Choose the same file again to go on.";
        this.offer("Choose the file", "upload", () => find("files").click(),
                   "Discard", "close", () => this.cancel());
        interrupted.push(this);
    }

    resume(file) {
        interrupted = interrupted.filter(row => row !== this);
        this.upload.file = file;
        this.text.textContent = "Waiting";
        this.offer("Cancel", "close", () => this.cancel());
        announce(`${this.name}: the upload goes on`);
        waiting.push(this);
        next();
    }

    async run() {
        const { file, options } = this.upload;

        try {
            const job = await this.upload.run(progress => this.progress(progress),
                                              error => this.wait(error));

            this.remove();
            onStored(job, file, options);
        } catch (error) {
            if (error !== null) {
                this.fail(error);
            }
        }
    }

    progress({ sent, total, speed, remaining }) {
        this.error.textContent = "";
        this.bar.value = total ? 100 * sent / total : 0;
        this.text.textContent = sent === total
            ? `${bytes(total)} sent, being stored`
            : [`${bytes(sent)} of ${bytes(total)}`, speed && `${bytes(speed)}/s`,
               remaining && left(remaining)].filter(Boolean).join(" · ");
    }

    wait(error) {
        this.error.textContent = error.status === 0
            ? "The connection was lost. Trying again…" : `${error.message} Trying again…`;
        announce(`${this.name}: ${this.error.textContent}`);
    }

    fail(error) {
        const focused = this.actions.contains(document.activeElement);

        this.bar.hidden = true;
        this.text.textContent = "Not uploaded";
        this.error.textContent = error.message;
        announce(`${this.name} was not uploaded. ${error.message}`);
        this.offer("Try again", "retry", () => this.again(),
                   "Dismiss", "close", () => this.cancel());
        if (focused) {
            this.actions.firstChild.focus();
        }
    }

    // Goes on with what the service has: should that be all of it, it is found.
    again() {
        this.bar.hidden = false;
        this.bar.value = 0;
        this.text.textContent = "Waiting";
        this.error.textContent = "";
        this.offer("Cancel", "close", () => this.cancel());
        this.actions.firstChild.focus();
        waiting.push(this);
        next();
    }

    cancel() {
        waiting = waiting.filter(row => row !== this);
        interrupted = interrupted.filter(row => row !== this);
        this.upload.cancel();
        this.remove();
        announce(`${this.name}: canceled`);
    }

    // What had the focus may go with it: then that goes to a heading.
    remove() {
        const section = find("uploads-section");
        const focused = section.contains(document.activeElement);
        const within = this.item.contains(document.activeElement);

        this.item.remove();
        section.hidden = find("uploads").childElementCount === 0;
        if (focused && section.hidden) {
            find("jobs-title").focus();
        } else if (within) {
            find("uploads-title").focus();
        }
    }
}
