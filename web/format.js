// Numbers and times in words.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
    let unit = 0;

    while (count >= 999.5 && unit < UNITS.length - 1) {
        count /= 1000;
        unit++;
    }
    return `${unit && count < 9.95 ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

// Of a piece of audio: 3:07 or 1:02:03.
export function length(seconds) {
    const whole = Math.round(seconds);
    const parts = [Math.floor(whole / 60) % 60, whole % 60];

    if (whole >= 3600) {
        parts.unshift(Math.floor(whole / 3600));
    }
    return parts.map((part, i) => i ? String(part).padStart(2, "0") : part).join(":");
}

// Until something is done.
export function left(seconds) {
    if (seconds < 5) {
        return "a few seconds left";
    }
    if (seconds < 60) {
        return `${Math.ceil(seconds / 5) * 5} s left`;
    }
    if (seconds < 5400) {
        return `${Math.round(seconds / 60)} min left`;
    }
    return `${Math.round(seconds / 3600)} h left`;
}

export function moment(iso) {
    const when = new Date(iso);
    const today = when.toDateString() === new Date().toDateString();

    return today
        ? when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
        : when.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" });
}
