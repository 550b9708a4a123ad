// Making and finding elements.  Text is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

export const find = id => document.getElementById(id);

// element("p", {class: "error", hidden: true}, "text", child, null)
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);

    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) {
            made.addEventListener(key.slice(2), value);
        } else if (value === true) {
            made.setAttribute(key, "");
        } else if (value !== false && value !== null && value !== undefined) {
            made.setAttribute(key, value);
        }
    }
    made.append(...children.filter(child => child !== null));
    return made;
}

export function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");

    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#icon-${name}`);
    svg.append(use);
    return svg;
}

// A button whose name for a screen reader also says what it is about.
export function button(text, about, image, onclick, kind = "") {
    return element("button", { type: "button", class: kind, onclick,
                               "aria-label": `${text}: ${about}` },
                   icon(image), element("span", {}, text));
}

// Does what a form is for, once at a time; its button tells of it meanwhile.
export async function submitting(event, text, work) {
    const submit = event.target.querySelector("[type=submit]");
    const usual = submit.textContent;

    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") {
        return;
    }
    submit.setAttribute("aria-busy", "true");
    submit.textContent = text;
    try {
        await work();
    } finally {
        submit.removeAttribute("aria-busy");
        submit.textContent = usual;
    }
}

// Tells a screen reader, without moving the focus.
export function announce(text) {
    const status = find("status");

    status.textContent = status.textContent === text ? `${text}\u00a0` : text;
}

// Asks; true when the person agrees.  The focus goes back to where it was.
export function confirmed(text) {
    const dialog = find("confirm");

    find("confirm-text").textContent = text;
    return new Promise(resolve => {
        const end = answer => {
            dialog.onclose = null;
            dialog.close();
            resolve(answer);
        };
        dialog.onclose = () => end(false);
        find("confirm-yes").onclick = () => end(true);
        find("confirm-no").onclick = () => end(false);
        dialog.showModal();
    });
}
