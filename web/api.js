// The calls of the API, and who is signed in.

const KEPT = "v2m-session";

// What the service says when it refuses (RFC 9457), or that it cannot be
// reached: then status is 0.
export class Problem extends Error {
    constructor(status, detail, retryAfter = 0) {
        super(sentence(detail));
        this.status = status;
        this.retryAfter = retryAfter;
    }
}

const LOST = "The service cannot be reached. Check your connection and try again.";
const UNKNOWN = "The service could not do that. Try again later.";

function sentence(text) {
    const first = text.charAt(0).toUpperCase() + text.slice(1);

    return /[.!?]$/.test(first) ? first : `${first}.`;
}

export const lost = () => new Problem(0, LOST);

// From the text of an answer that is no success.
export function problem(status, text, retryAfter) {
    let detail;

    try {
        const told = JSON.parse(text);
        detail = told.detail || told.title;
    } catch {
        // not from v2m: something on the way to it
    }
    return new Problem(status, detail || UNKNOWN, Number(retryAfter) || 0);
}

let session = null;
let onExpired = () => {};

export const signedIn = () => session !== null;
export const user = () => session?.user ?? "";
export const bearer = () => `Bearer ${session?.token ?? ""}`;

// Called when the service no longer takes the token.
export function whenExpired(callback) {
    onExpired = callback;
}

// A 401 to a call with this header: it may be of an earlier session.
export function expired(authorization) {
    if (session && authorization === bearer()) {
        forget();
        onExpired();
    }
}

export function forget() {
    session = null;
    sessionStorage.removeItem(KEPT);
}

// The session that was to survive a reload, if there is one.
export function restore() {
    try {
        session = JSON.parse(sessionStorage.getItem(KEPT));
    } catch {
        forget();
    }
    return signedIn();
}

async function ask(path, init) {
    let response;

    try {
        // "omit": no cookie, and no password dialog of the browser's own
        response = await fetch(path, { credentials: "omit", cache: "no-store", ...init });
    } catch (error) {
        throw error.name === "AbortError" ? error : lost();
    }
    if (!response.ok) {
        throw problem(response.status, await response.text().catch(() => ""),
                      response.headers.get("Retry-After"));
    }
    return response;
}

// With the token.
export async function call(path, { headers = {}, ...init } = {}) {
    const authorization = bearer();

    try {
        return await ask(path, { ...init, headers: { ...headers, Authorization: authorization } });
    } catch (error) {
        if (error.status === 401) {
            expired(authorization);
        }
        throw error;
    }
}

// Of the text as UTF-8.
export function base64(text) {
    const octets = new TextEncoder().encode(text);

    return btoa(Array.from(octets, octet => String.fromCharCode(octet)).join(""));
}

export async function signIn(name, password, stay) {
    const response = await ask("login", {
        method: "POST",
        headers: { Accept: "application/json", Authorization: `Basic ${base64(`${name}:${password}`)}` },
    });

    session = { user: name, token: (await response.json()).access_token };
    if (stay) {
        sessionStorage.setItem(KEPT, JSON.stringify(session));
    }
}

// Makes the token worthless everywhere; it is forgotten here in any case.
export async function signOut() {
    const authorization = bearer();

    forget();
    await ask("logout", { method: "POST", headers: { Authorization: authorization } });
}

// What there is beside signing in: {register, reset}.
export async function offers() {
    try {
        const response = await ask("accounts.json");

        return response.status === 200 ? await response.json() : {};
    } catch {
        return {};
    }
}

const post = (path, content) => ask(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
});

// "register", or "reset" for a new password.
export const askForLink = (what, email) => post(what === "reset" ? "password/reset" : what, { email });

export const setPassword = (token, password) => post("password", { token, password });

// Whether setting a password was refused for the link, and not for the password.
export const isLinkGone = problem => problem.status === 403;

export async function list(after) {
    const query = after ? `?limit=20&after=${after}` : "?limit=20";

    return (await call(`jobs${query}`)).json();
}

export const remove = id => call(`jobs/${id}`, { method: "DELETE" });

// The MP3 as {blob, name}.
export async function mp3(id) {
    const response = await call(`download?fid=${id}`);
    const disposition = response.headers.get("Content-Disposition") ?? "";
    let blob;

    try {
        blob = await response.blob();
    } catch {
        throw lost();
    }
    return { blob, name: fileName(disposition) };
}

// RFC 6266: filename* is preferred to filename.
function fileName(disposition) {
    const encoded = /filename\*=UTF-8''([^;\s]+)/i.exec(disposition);
    const quoted = /filename="((?:[^"\\]|\\.)*)"/i.exec(disposition);

    if (encoded) {
        return decodeURIComponent(encoded[1]);
    }
    return quoted ? quoted[1].replace(/\\(.)/g, "$1") : "audio.mp3";
}
