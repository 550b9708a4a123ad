// The list of uploads that are under way or did not succeed.

import { announce, button, element, find } from "./dom.js";
import { bytes, left } from "./format.js";
import { Upload } from "./upload.js";

// More at once are no faster, and the others wait without a connection.
const AT_ONCE = 2;

let waiting = [];
let running = new Set();
let onStored = () => {};

// Calls onJob(job, file, options) for each upload that succeeded.
export function start(onJob) {
    onStored = onJob;
}

export function add(file, options) {
    const row = new Row(file, options);

    find("uploads").append(row.item);
    find("uploads-section").hidden = false;
    waiting.push(row);
    next();
}

export const busy = () => waiting.length + running.size > 0;

export function clear() {
    waiting = [];
    for (const row of running) {
        row.upload.cancel();
    }
    running = new Set();
    find("uploads").replaceChildren();
    find("uploads-section").hidden = true;
}

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
    constructor(file, options) {
        this.upload = new Upload(file, options);
        this.text = element("p", { class: "quiet" }, `Waiting, ${bytes(file.size)}`);
        this.error = element("p", { class: "error" });
        this.bar = element("progress", { max: 100, value: 0, "aria-label": `Upload of ${file.name}` });
        this.actions = element("div", { class: "actions" });
        this.item = element("li", { class: "card row" },
                            element("h3", {}, file.name), this.bar, this.text, this.error,
                            this.actions);
        this.offer("Cancel", "close", () => this.cancel());
    }

    offer(...choices) {
        this.actions.replaceChildren();
        for (let i = 0; i < choices.length; i += 3) {
            this.actions.append(button(choices[i], this.upload.file.name, choices[i + 1],
                                       choices[i + 2]));
        }
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
        announce(`${this.upload.file.name}: ${this.error.textContent}`);
    }

    fail(error) {
        const focused = this.actions.contains(document.activeElement);

        this.bar.hidden = true;
        this.text.textContent = "Not uploaded";
        this.error.textContent = error.message;
        announce(`${this.upload.file.name} was not uploaded. ${error.message}`);
        this.offer("Try again", "retry", () => this.again(),
                   "Dismiss", "close", () => this.cancel());
        if (focused) {
            this.actions.firstChild.focus();
        }
    }

    // With the same key: should it have been stored after all, that is found.
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
        this.upload.cancel();
        this.remove();
        announce(`${this.upload.file.name}: canceled`);
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
