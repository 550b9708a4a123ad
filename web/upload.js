// One upload, by tus (https://tus.io): it goes on where it was cut.

import { base64, bearer, call, expired, lost, problem } from "./api.js";
import { pause } from "./events.js";
import { forget, remember } from "./remembered.js";

// in a row, without a byte of progress
const TRIES = 20;
const LONGEST_WAIT_MS = 30000;

// What passes by itself: a lost connection, a request of ours that the service
// still waits for, too many at once, a service that is away or being updated.
const PASSING = [0, 408, 409, 423, 429, 502, 503, 504];

const TUS = { "Tus-Resumable": "1.0.0" };

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
    sent = 0;

    // options: URLSearchParams.  address: of one that was begun before.
    constructor(file, options, address = null) {
        this.file = file;
        this.options = options;
        this.address = address;
    }

    // Stops it; it can be gone on with.
    stop() {
        this.stopped.abort();
    }

    // Stops it for good.
    cancel() {
        this.stop();
        if (this.address !== null) {
            forget(this.address);
            call(this.address, { method: "DELETE", headers: TUS }).catch(() => {
                // then it expires
            });
        }
    }

    // How many bytes the service has, and the job once that is all of them.
    async ask() {
        const { headers } = await call(this.address, {
            method: "HEAD", headers: TUS, signal: this.stopped.signal,
        });

        return { offset: Number(headers.get("Upload-Offset")), job: headers.get("V2M-Job") };
    }

    // The job; throws a Problem, or null when it was stopped.  Calls
    // onProgress({sent, total, speed, remaining}) and, before it tries again,
    // onWait(problem).
    async run(onProgress, onWait) {
        for (let tried = 1; ; tried++) {
            const before = this.sent;

            try {
                return await this.#attempt(onProgress);
            } catch (error) {
                if (this.stopped.signal.aborted) {
                    throw null;
                }
                if (this.sent > before) {
                    tried = 1;
                }
                if (tried === TRIES || !PASSING.includes(error.status)) {
                    throw error;
                }
                onWait(error);
                await pause(Math.max(error.retryAfter * 1000,
                                     Math.min(1000 * 2 ** (tried - 1), LONGEST_WAIT_MS)),
                            this.stopped.signal);
            }
        }
    }

    async #attempt(onProgress) {
        const { signal } = this.stopped;
        let offset = 0;
        let job = null;

        if (this.address !== null) {
            try {
                ({ offset, job } = await this.ask());
            } catch (error) {
                if (error.status !== 404) {
                    throw error;
                }
                // it expired, or was removed: anew
                forget(this.address);
                this.address = null;
            }
        }
        if (this.address === null) {
            await this.#create();
        }
        job ??= await this.#send(offset, onProgress);
        forget(this.address);
        return (await call(`jobs/${job}`, { signal })).json();
    }

    async #create() {
        // a "+" is a plus there
        const query = this.options.toString().replaceAll("+", "%20");
        const { headers } = await call(`tus/?${query}`, {
            method: "POST", signal: this.stopped.signal,
            headers: {
                ...TUS,
                "Upload-Length": String(this.file.size),
                "Upload-Metadata": `filename ${base64(this.file.name)}`,
            },
        });

        this.address = `tus/${headers.get("Location").split("/").pop()}`;
        remember(this.address, this.file, this.options);
    }

    // Sends the rest, by XMLHttpRequest, because fetch() does not tell how far
    // it is; the job's id.
    #send(offset, onProgress) {
        const authorization = bearer();
        const total = this.file.size;

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
            this.sent = offset;
            request.upload.onprogress = ({ loaded }) => {
                this.sent = offset + loaded;
                onProgress({ sent: this.sent, total, ...pace.add(this.sent, total) });
            };
            request.onabort = () => reject(null);
            request.onerror = () => reject(lost());
            request.onload = () => {
                const job = request.getResponseHeader("V2M-Job");

                if (request.status === 204 && job !== null) {
                    resolve(job);
                    return;
                }
                if (request.status === 401) {
                    expired(authorization);
                }
                reject(problem(request.status, request.responseText,
                               request.getResponseHeader("Retry-After")));
            };
            request.onloadend = () => signal.removeEventListener("abort", abort);

            request.open("PATCH", this.address);
            request.setRequestHeader("Authorization", authorization);
            request.setRequestHeader("Tus-Resumable", "1.0.0");
            request.setRequestHeader("Upload-Offset", String(offset));
            request.setRequestHeader("Content-Type", "application/offset+octet-stream");
            request.send(this.file.slice(offset));
        });
    }
}
