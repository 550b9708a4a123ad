// The form of conversion options, and what it means for the API.

import { find } from "./dom.js";

// 83.5, 1:23.5 or 1:02:03 in seconds; NaN when it is none of them.
function seconds(text) {
    if (!/^(\d+:){0,2}\d+(\.\d+)?$/.test(text)) {
        return NaN;
    }
    const parts = text.split(":").map(Number);

    return parts.slice(1).some(part => part >= 60)
        ? NaN : parts.reduce((sum, part) => sum * 60 + part, 0);
}

function mark(name, error) {
    find(name).setAttribute("aria-invalid", String(error !== ""));
    find(`${name}-error`).textContent = error;
    return error === "";
}

const entered = name => find(name).value.trim();

function valid() {
    const start = entered("start");
    const end = entered("end");
    const track = entered("track");
    const asTime = text => text === "" || !Number.isNaN(seconds(text))
        ? "" : "Give a time like 83.5 or 1:23.";
    let late = asTime(end);

    if (!late && end !== "" && seconds(end) <= (start === "" ? 0 : seconds(start))) {
        late = "The end must be after the beginning.";
    }
    return [
        mark("start", asTime(start)),
        mark("end", late),
        mark("track", track === "" || /^([1-9]\d?|100)$/.test(track)
            ? "" : "Give a number from 1 to 100."),
    ].every(Boolean);
}

// The query of an upload with these options, or null: then what is wrong is
// shown, and has the focus.
export function query() {
    if (!valid()) {
        find("options").open = true;
        find("options-form").querySelector('[aria-invalid="true"]').focus();
        return null;
    }

    const made = new URLSearchParams(entered("quality"));

    for (const name of ["start", "end", "loudnorm", "channels", "track"]) {
        if (entered(name) !== "") {
            made.set(name, entered(name));
        }
    }
    return made;
}

function chosen(name) {
    const select = find(name);

    return select.value === "" ? null : select.selectedOptions[0].text;
}

// What differs from the usual, beside the word "Options".
function summarize() {
    const loudness = chosen("loudnorm");

    find("options-now").textContent = [
        chosen("quality"),
        entered("start") && `from ${entered("start")}`,
        entered("end") && `to ${entered("end")}`,
        loudness && `loudness ${loudness.split(" (")[0].toLowerCase()}`,
        chosen("channels"),
        entered("track") && `track ${entered("track")}`,
    ].filter(Boolean).join(", ");
}

export function start() {
    const form = find("options-form");

    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("input", summarize);
    form.addEventListener("change", () => {
        valid();
        summarize();
    });
    form.addEventListener("reset", () => setTimeout(() => {
        valid();
        summarize();
    }));
    summarize();
}
