// Jobs as they change: GET /jobs/events, again and again.  EventSource cannot
// send the token, so the stream is read by hand.

import { call } from "./api.js";

// The service sends a comment when there is nothing to say; a connection
// that is silent for so long is gone.
const SILENCE_MS = 60000;
const LONGEST_RETRY_MS = 30000;

// Splits text that comes in pieces into events: calls each({event, id, data,
// retry}) at every empty line.
function parser(each) {
    let rest = "";
    let fields = {};

    return piece => {
        const lines = (rest + piece).split(/\r\n|\n|\r/);

        rest = lines.pop();
        for (const line of lines) {
            if (line === "") {
                each(fields);
                fields = {};
                continue;
            }
            const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
            if (name) {
                fields[name] = name === "data" && "data" in fields
                    ? `${fields.data}\n${value}` : value;
            }
        }
    };
}

// Calls onJob with each job, and onState(true or false) when the connection
// comes or goes, until the returned function is called.
export function follow(onJob, onState) {
    const stop = new AbortController();
    let last = null;
    let retry = 2000;
    let failures = 0;

    async function connect() {
        const silence = new AbortController();
        const end = () => silence.abort();
        let timer = setTimeout(end, SILENCE_MS);

        stop.signal.addEventListener("abort", end);
        try {
            const response = await call("jobs/events", {
                headers: last ? { "Last-Event-ID": last } : {},
                signal: silence.signal,
            });
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            const feed = parser(event => {
                last = event.id ?? last;
                retry = Number(event.retry) || retry;
                if (event.data && !event.event) {
                    onJob(JSON.parse(event.data));
                }
            });

            failures = 0;
            onState(true);
            for (;;) {
                const { done, value } = await reader.read();
                if (done) {
                    return 0;
                }
                clearTimeout(timer);
                timer = setTimeout(end, SILENCE_MS);
                feed(value);
            }
        } finally {
            clearTimeout(timer);
            stop.signal.removeEventListener("abort", end);
        }
    }

    async function go() {
        while (!stop.signal.aborted) {
            let wait = 0;
            try {
                await connect();
            } catch (error) {
                wait = (error.retryAfter ?? 0) * 1000;
                failures++;
            }
            if (stop.signal.aborted) {
                return;
            }
            if (failures > 0) {
                onState(false);
            }
            await pause(Math.max(wait, Math.min(retry * 2 ** Math.max(failures - 1, 0),
                                                LONGEST_RETRY_MS)), stop.signal);
        }
    }

    go();
    return () => stop.abort();
}

// Until then, or until the network is back, or until it is aborted.
export function pause(ms, signal) {
    return new Promise(resolve => {
        const end = () => {
            clearTimeout(timer);
            window.removeEventListener("online", end);
            signal.removeEventListener("abort", end);
            resolve();
        };
        const timer = setTimeout(end, ms);

        window.addEventListener("online", end);
        signal.addEventListener("abort", end);
    });
}
