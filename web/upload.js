// One upload: XMLHttpRequest, because fetch() does not tell how far it is.

import { bearer, expired, lost, problem } from "./api.js";
import { pause } from "./events.js";

const TRIES = 8;
const LONGEST_WAIT_MS = 30000;

// What passes by itself: a lost connection, the same upload still under way,
// too many at once, a service that is away or being updated.
const PASSING = [0, 409, 429, 502, 503, 504];

// Speed and time left, from how far it was during the last seconds.
class Pace {
    seen = [];

    add(sent, total) {
        const now = performance.now();

        this.seen.push([now, sent]);
        while (this.seen.length > 2 && now - this.seen[0][0] > 5000) {
            this.seen.shift();
        }
        const [since, before] = this.seen[0];
        const speed = (sent - before) * 1000 / (now - since);

        return now - since > 500 && speed > 0
            ? { speed, remaining: (total - sent) / speed } : {};
    }
}

export class Upload {
    stopped = new AbortController();

    // options: URLSearchParams.  The key lets the service know a repetition.
    constructor(file, options) {
        this.file = file;
        this.options = options;
        this.key = Array.from(crypto.getRandomValues(new Uint8Array(16)),
                              octet => octet.toString(16).padStart(2, "0")).join("");
    }

    cancel() {
        this.stopped.abort();
    }

    // The job; throws a Problem, or null when it was canceled.  Calls
    // onProgress({sent, total, speed, remaining}) and, before it tries again,
    // onWait(problem).
    async run(onProgress, onWait) {
        for (let tried = 1; ; tried++) {
            try {
                return await this.#send(onProgress);
            } catch (error) {
                if (error === null || tried === TRIES || !PASSING.includes(error.status)) {
                    throw error;
                }
                onWait(error);
                await pause(Math.max(error.retryAfter * 1000,
                                     Math.min(1000 * 2 ** (tried - 1), LONGEST_WAIT_MS)),
                            this.stopped.signal);
            }
        }
    }

    #send(onProgress) {
        const query = new URLSearchParams(this.options);
        const authorization = bearer();

        query.set("name", this.file.name);
        return new Promise((resolve, reject) => {
            const request = new XMLHttpRequest();
            const pace = new Pace();
            const abort = () => request.abort();
            const { signal } = this.stopped;

            if (signal.aborted) {
                reject(null);
                return;
            }
            signal.addEventListener("abort", abort);
            request.upload.onprogress = ({ loaded, total }) =>
                onProgress({ sent: loaded, total, ...pace.add(loaded, total) });
            request.onabort = () => reject(null);
            request.onerror = () => reject(lost());
            request.onload = () => {
                if (request.status === 201) {
                    resolve(JSON.parse(request.responseText));
                    return;
                }
                if (request.status === 401) {
                    expired(authorization);
                }
                reject(problem(request.status, request.responseText,
                               request.getResponseHeader("Retry-After")));
            };
            request.onloadend = () => signal.removeEventListener("abort", abort);

            // a "+" is a plus there
            request.open("POST", `upload?${query.toString().replaceAll("+", "%20")}`);
            request.setRequestHeader("Authorization", authorization);
            request.setRequestHeader("Content-Type", "application/octet-stream");
            request.setRequestHeader("Idempotency-Key", this.key);
            request.send(this.file);
        });
    }
}
