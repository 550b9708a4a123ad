// The page: who is signed in sees uploads and jobs, everybody else the form.

import * as accounts from "./accounts.js";
import * as api from "./api.js";
import { announce, find, submitting } from "./dom.js";
import * as jobs from "./jobs.js";
import * as options from "./options.js";
import * as uploads from "./uploads.js";

const WORK_TITLE = "Video to MP3 – v2m";

function showWork(focus) {
    document.title = WORK_TITLE;
    accounts.hide();
    find("sign-in").hidden = true;
    find("account").hidden = false;
    find("account-name").textContent = api.user();
    find("work").hidden = false;
    if (focus) {
        find("work-title").focus();
    }
    jobs.start();
    uploads.restore();
}

function showSignIn(message = "") {
    jobs.clear();
    uploads.clear();
    document.title = "Sign in – v2m";
    find("confirm").close();
    accounts.hide();
    find("work").hidden = true;
    find("account").hidden = true;
    find("account-name").textContent = "";
    find("sign-in").hidden = false;
    find("sign-in-error").textContent = message;
    find("sign-in-note").textContent = "";
    find("password").value = "";
}

function signIn(event) {
    const error = find("sign-in-error");

    submitting(event, "Signing in…", async () => {
        error.textContent = "";
        find("sign-in-note").textContent = "";
        try {
            await api.signIn(find("email").value.trim(), find("password").value,
                             find("stay").checked);
            find("password").value = "";
            showWork(true);
        } catch (problem) {
            error.textContent = problem.status === 401
                ? "E-mail or password is wrong." : problem.message;
            find("password").select();
        }
    });
}

async function signOut() {
    let message = "";

    uploads.forgetThem();

    try {
        await api.signOut();
    } catch (problem) {
        // a token that is refused already is what was wanted
        if (problem.status !== 401) {
            message = "You are signed out on this device, but the service could not be told.";
        }
    }
    showSignIn(message);
    announce("You are signed out");
    find("sign-in-title").focus();
}

// A form about accounts is shown instead.
function showAccounts() {
    find("confirm").close();
    find("work").hidden = true;
    find("sign-in").hidden = true;
}

function leaveAccounts(note) {
    if (api.signedIn()) {
        document.title = WORK_TITLE;
        find("work").hidden = false;
        find("work-title").focus();
        return;
    }
    showSignIn();
    find("sign-in-note").textContent = note;
    find("sign-in-title").focus();
}

function take(files) {
    const error = find("drop-error");
    const chosen = [...files];
    const empty = chosen.filter(file => file.size === 0);

    error.textContent = "";
    if (chosen.length === 0) {
        return;
    }
    const query = options.query();

    if (query === null) {
        return;
    }
    if (empty.length > 0) {
        error.textContent = `Nothing is in ${empty.map(file => `“${file.name}”`).join(", ")}.`;
    }
    chosen.filter(file => file.size > 0).forEach(file => uploads.add(file, query));
}

function startDropping() {
    const drop = find("drop");
    const input = find("files");
    let depth = 0;
    const over = change => {
        depth = change ? Math.max(depth + change, 0) : 0;
        drop.classList.toggle("over", depth > 0);
    };

    find("choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
        take(input.files);
        // the same file may be chosen again
        input.value = "";
    });
    // anywhere: a video that misses must not replace the page
    window.addEventListener("dragenter", () => over(1));
    window.addEventListener("dragleave", () => over(-1));
    window.addEventListener("dragover", event => event.preventDefault());
    window.addEventListener("drop", event => {
        event.preventDefault();
        over(0);
        if (api.signedIn()) {
            take(event.dataTransfer.files);
        }
    });
}

api.whenExpired(() => {
    showSignIn("Your session has ended. Sign in again.");
    find("email").focus();
});
options.start();
uploads.start(jobs.stored);
startDropping();
find("sign-in-form").addEventListener("submit", signIn);
find("sign-out").addEventListener("click", signOut);
window.addEventListener("beforeunload", event => {
    if (uploads.busy()) {
        event.preventDefault();
    }
});

if (api.restore()) {
    showWork(false);
} else {
    showSignIn();
}
accounts.start(showAccounts, leaveAccounts);
