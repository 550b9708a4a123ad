// Making an account and setting another password, where the service offers it:
// both begin with a link by mail, which leads to the form for the password.

import * as api from "./api.js";
import { announce, find, submitting } from "./dom.js";

const ASKS = {
    register: {
        title: "Create an account",
        hint: "You get a mail with a link. With it you choose a password, and the account is made.",
    },
    reset: {
        title: "Reset your password",
        hint: "You get a mail with a link. With it you choose another password.",
    },
};

const SECTIONS = ["ask", "asked", "set"];

let offered = null;
let asked = "";
let token = "";
let onShow = () => {};
let onLeave = () => {};

export function hide() {
    token = "";
    find("new-password").value = "";
    SECTIONS.forEach(name => {
        find(name).hidden = true;
    });
}

function show(section, title) {
    onShow();
    document.title = `${title} – v2m`;
    find(section).hidden = false;
    find(`${section}-title`).focus();
}

function leave(note) {
    hide();
    onLeave(note);
}

// The form that asks for a link: "register" or "reset".
function ask(what, email) {
    const { title, hint } = ASKS[what];

    hide();
    asked = what;
    find("ask-title").textContent = title;
    find("ask-hint").textContent = hint;
    find("ask-error").textContent = "";
    find("ask-email").value = email;
    show("ask", title);
}

function sendAsked(event) {
    const email = find("ask-email").value.trim();

    submitting(event, "Sending…", async () => {
        find("ask-error").textContent = "";
        try {
            await api.askForLink(asked, email);
            hide();
            find("asked-address").textContent = email;
            show("asked", "Look into your mailbox");
        } catch (problem) {
            find("ask-error").textContent = problem.message;
            find("ask-email").select();
        }
    });
}

function reveal() {
    find("new-password").type = find("reveal").checked ? "text" : "password";
}

// The form for the password.
function choose(secret) {
    hide();
    token = secret;
    find("set-error").textContent = "";
    find("set-form").hidden = false;
    find("reveal").checked = false;
    reveal();
    show("set", "Choose a password");
}

function sendPassword(event) {
    submitting(event, "Setting it…", async () => {
        find("set-error").textContent = "";
        try {
            await api.setPassword(token, find("new-password").value);
            // all sessions of the account are over
            api.forget();
            announce("Your password is set");
            leave("Your password is set. Sign in with it.");
        } catch (problem) {
            find("set-error").textContent = problem.message;
            if (api.isLinkGone(problem)) {
                find("set-form").hidden = true;
                find("set-title").focus();
            } else {
                find("new-password").select();
            }
        }
    });
}

// Goes where the "#" of the address leads, if it is one of a mail of ours.
function follow() {
    const [, what, secret] = /^#(?:(register|reset)|password=([\w-]+))$/.exec(location.hash) ?? [];

    if (secret) {
        // nobody finds it in the history
        history.replaceState(null, "", location.pathname + location.search);
        choose(secret);
    } else if (what && offered?.[what]) {
        history.replaceState(null, "", location.pathname + location.search);
        ask(what, "");
    }
}

async function look() {
    offered = await api.offers();
    for (const what of Object.keys(ASKS)) {
        find(`to-${what}`).hidden = !offered[what];
    }
    follow();
}

// shown(): a form of ours replaces what is shown.  left(note): it is done with.
export function start(shown, left) {
    onShow = shown;
    onLeave = left;
    for (const what of Object.keys(ASKS)) {
        find(`to-${what}`).addEventListener("click", () => ask(what, find("email").value.trim()));
    }
    find("ask-form").addEventListener("submit", sendAsked);
    find("set-form").addEventListener("submit", sendPassword);
    find("reveal").addEventListener("change", reveal);
    for (const name of SECTIONS) {
        find(`${name}-back`).addEventListener("click", () => leave(""));
    }
    window.addEventListener("hashchange", follow);
    follow();
    look();
}
