// Uploads that are under way, kept where a reload does not reach: their
// addresses, and by what their files are known again.

import { user } from "./api.js";

const KEPT = "v2m-uploads";

// [{user, address, name, size, modified, options}]
function all() {
    try {
        const found = JSON.parse(localStorage.getItem(KEPT));

        return Array.isArray(found) ? found : [];
    } catch {
        return [];
    }
}

function keep(entries) {
    try {
        if (entries.length > 0) {
            localStorage.setItem(KEPT, JSON.stringify(entries));
        } else {
            localStorage.removeItem(KEPT);
        }
    } catch {
        // no room, or not allowed: then a reload costs what was sent
    }
}

// Those of who is signed in.
export const list = () => all().filter(entry => entry.user === user());

export function remember(address, file, options) {
    const entry = {
        user: user(), address, name: file.name, size: file.size, modified: file.lastModified,
        options: options.toString(),
    };

    keep([...all().filter(other => other.address !== address), entry]);
}

export function forget(address) {
    keep(all().filter(entry => entry.address !== address));
}

// Of who signs out nothing stays.
export function forgetAll() {
    keep(all().filter(entry => entry.user !== user()));
}

export const isOf = (entry, file) => entry.name === file.name && entry.size === file.size
    && entry.modified === file.lastModified;
