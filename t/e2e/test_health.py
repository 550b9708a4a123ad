"""A worker's probes, metrics and log, over real servers."""

import json
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import free_ports, wait_for
from notices import mail_server, make_job, message  # noqa: F401

TRACE = "0af7651916cd43dd8448eb211c80319c"


def get(port, path, method="GET"):
    """(status, text) of a worker's answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=40) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metric(port, name):
    status, text = get(port, "/metrics")
    assert status == 200
    values = [line.rpartition(" ")[2] for line in text.splitlines()
              if line.rpartition(" ")[0] == name]
    assert len(values) == 1, text
    return float(values[0])


def check_metrics(text):
    """As Prometheus' own tool would have it."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text,
                             text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", ["v2m-notifier", "v2m-converter"])
def test_probes(stack, spawn, queue, replies, relay, name):
    port = free_ports(1)
    broker = relay(stack.env["V2M_AMQP_URL"])
    store = relay(stack.env["V2M_MONGO_URI"])
    broker.refuse()
    program = spawn(name, V2M_HEALTH_LISTEN=port, VIDEO_QUEUE=queue,
                    MP3_QUEUE=replies, V2M_AMQP_URL=broker.url,
                    V2M_MONGO_URI=store.url)
    program.wait_log("no connection to the broker")
    assert get(port, "/healthz") == (200, "ok\n")
    status, text = get(port, "/readyz")
    assert status == 503
    assert json.loads(text) == {
        "status": "unavailable",
        "backends": {"broker": "down", "store": "up"}}

    broker.serve()
    program.wait_log("consuming")
    wait_for(lambda: get(port, "/readyz")[0] == 200)
    assert metric(port, "v2m_broker_consuming") == 1

    store.refuse()
    status, text = get(port, "/readyz")
    assert status == 503
    assert json.loads(text)["backends"] == {"broker": "up", "store": "down"}
    assert get(port, "/healthz")[0] == 200
    store.serve()
    wait_for(lambda: get(port, "/readyz")[0] == 200)

    assert get(port, "/other")[0] == 404
    assert get(port, "/metrics", "POST")[0] == 405


def test_metrics(stack, spawn, queue, address, mail_server):  # noqa: F811
    answers = iter(["451 later"])
    server = mail_server(
        lambda verb: next(answers, None) if verb == "RCPT" else None)
    port = free_ports(1)
    spawn("v2m-notifier", V2M_HEALTH_LISTEN=f"127.0.0.1:{port}",
          MP3_QUEUE=queue, V2M_SMTP_URL=server.url).wait_log("consuming")
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    stack.publish(queue, "no json")
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)

    wait_for(lambda: metric(port, "v2m_deliveries_in_flight") == 0)
    assert metric(port, 'v2m_mails_total{result="sent"}') == 1
    assert metric(port, 'v2m_mails_total{result="put_off"}') == 1
    assert metric(port, 'v2m_mails_total{result="failed"}') == 0
    assert metric(port, 'v2m_deliveries_total{outcome="done"}') == 1
    assert metric(port, 'v2m_deliveries_total{outcome="dead"}') == 1
    assert metric(port, "v2m_attempts_total") == 2
    bucket = 'v2m_mail_duration_seconds_bucket{le="%s"}'
    assert metric(port, bucket % "+Inf") == 2
    assert metric(port, bucket % "7200") == 2
    assert metric(port, bucket % "0.01") <= metric(port, bucket % "0.05")
    assert metric(port, "v2m_handler_duration_seconds_count") == 3
    assert metric(port, "v2m_handlers") >= 1
    assert metric(port, "v2m_handlers_busy") == 0
    check_metrics(get(port, "/metrics")[1])


def test_log_as_json(stack, spawn, queue, address, mail_server):  # noqa: F811
    server = mail_server()
    program = spawn("v2m-notifier", V2M_LOG_FORMAT="json", MP3_QUEUE=queue,
                    V2M_SMTP_URL=server.url)
    program.wait_log("consuming")
    job_id = make_job(stack, address)
    stack.publish(queue, message(
        job_id, address, traceparent=f"00-{TRACE}-b7ad6b7169203331-01"))
    program.wait_log("mail sent")

    lines = [json.loads(line) for line in program.log.splitlines()]
    sent = [line for line in lines if "mail sent" in line["message"]]
    assert sent[0]["job"] == job_id
    assert sent[0]["trace"] == TRACE
    assert sent[0]["level"] == "info"
    assert sent[0]["program"] == "v2m-notifier"
    assert "job" not in lines[0] and "trace" not in lines[0]


@pytest.mark.parametrize("listen", ["127.0.0.1:nonsense", "nowhere.invalid:1",
                                    "taken"])
def test_no_place_to_listen(spawn, queue, mail_server, listen):  # noqa: F811
    if listen == "taken":
        listen = f"127.0.0.1:{mail_server().port}"
    program = spawn("v2m-notifier", V2M_HEALTH_LISTEN=listen, MP3_QUEUE=queue)
    assert program.wait(20) == 1
    assert "V2M_HEALTH_LISTEN" in program.log
