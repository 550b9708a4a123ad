#include "v2m_meter.h"

#include <string.h>
#include <unistd.h>

#include "v2m_pause.h"
#include "v2m_session.h"

#define V2M_METER_WIDTH 30

/* So often a line is drawn at most; and what would take less time is done
 * before anyone read it. */
#define V2M_METER_PAUSE_MS 100


void
v2m_meter_init(v2m_meter_t *meter, FILE *terminal)
{
    memset(meter, 0, sizeof(*meter));
    meter->percent = -1;
    meter->began_ms = v2m_clock_ms();
    meter->drawn_ms = meter->began_ms;

    if (terminal != NULL && isatty(fileno(terminal))) {
        meter->terminal = terminal;
    }
}


void
v2m_meter_tell(v2m_meter_t *meter, int percent)
{
    meter->percent = percent;
    v2m_meter_draw(meter);
}


void
v2m_meter_draw(v2m_meter_t *meter)
{
    int     i, full;
    char    bar[V2M_METER_WIDTH + 1];
    int64_t now, left;

    now = v2m_clock_ms();

    if (meter->terminal == NULL || now - meter->drawn_ms < V2M_METER_PAUSE_MS) {
        return;
    }

    meter->drawn_ms = now;
    meter->drawn = 1;

    if (meter->percent < 0) {
        fprintf(meter->terminal, "\r\033[K%lld s",
                (long long) (now - meter->began_ms) / 1000);
        fflush(meter->terminal);
        return;
    }

    full = meter->percent * V2M_METER_WIDTH / 100;

    for (i = 0; i < V2M_METER_WIDTH; i++) {
        bar[i] = i < full ? '#' : '.';
    }

    bar[V2M_METER_WIDTH] = '\0';
    fprintf(meter->terminal, "\r\033[K[%s] %3d %%", bar, meter->percent);

    left = v2m_session_left_s(now - meter->began_ms, meter->percent);

    if (left >= 0) {
        fprintf(meter->terminal, "  %lld:%02d left", (long long) left / 60,
                (int) (left % 60));
    }

    fflush(meter->terminal);
}


void
v2m_meter_end(v2m_meter_t *meter)
{
    if (meter->drawn) {
        fputs("\r\033[K", meter->terminal);
        fflush(meter->terminal);
        meter->drawn = 0;
    }
}
