"""A client of the gateway for tests, over http.client; and the curl command
for tests of what its users see."""

import base64
import dataclasses
import http.client
import json
import os
import subprocess
import urllib.parse
import uuid

from conftest import ROOT, wait_for

END = ("ready", "failed")  # states that a job stays in


@dataclasses.dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def detail(self):
        """What an error says."""
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json()
        assert problem["status"] == self.status
        return problem["detail"]

    def expect(self, status):
        assert self.status == status, (self.status, self.body[:500])
        return self


class Client:
    """One user.  Threads may share it: each call has its own connection."""

    def __init__(self, url, user=None, password=None, token=None):
        self.url = url
        self.user = user
        self.password = password
        self.token = token

    def request(self, method, path, body=None, headers=None, timeout=60):
        """The body may be bytes, a file, or anything that http.client
        takes."""
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port,
                                                timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def basic(self):
        pair = f"{self.user}:{self.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}

    def login(self):
        """Gets the token, as often as the limit of logins allows."""
        def attempt():
            answer = self.request("POST", "/login", headers=self.basic())
            return None if answer.status == 429 else answer.expect(200)

        self.token = wait_for(attempt, 30, 0.5,
                              what="a login").body.decode()
        return self

    # jobs

    def post(self, body, name=None, multipart=False, **options):
        """POST /upload; the body is bytes, or a path."""
        if not isinstance(body, bytes):
            name = name or body.name
            body = body.read_bytes()
        headers = {}
        if multipart:
            boundary = uuid.uuid4().hex
            headers["Content-Type"] = ("multipart/form-data; boundary="
                                       + boundary)
            body = (f"--{boundary}\r\nContent-Disposition: form-data; "
                    f'name="file"; filename="{name}"\r\n'
                    "Content-Type: application/octet-stream\r\n\r\n"
                    ).encode() + body + f"\r\n--{boundary}--\r\n".encode()
        elif name:
            options["name"] = name
        return self.request(
            "POST", "/upload?" + urllib.parse.urlencode(options), body,
            headers)

    def upload(self, body, name=None, multipart=False, **options):
        """A successful upload; returns the job."""
        answer = self.post(body, name, multipart, **options).expect(201)
        job = answer.json()
        assert answer.headers["Location"] == f"/jobs/{job['id']}"
        assert job["state"] == "queued"
        return job

    def job(self, job_id):
        return self.request("GET", f"/jobs/{job_id}").expect(200).json()

    def jobs(self):
        return self.request("GET", "/jobs?limit=100").expect(200).json()[
            "jobs"]

    def wait(self, job_id, *states, timeout=60):
        """Follows a job until it is in one of the states, without any until
        it is in an end state."""
        states = states or END

        def reached():
            job = self.job(job_id)
            assert job["state"] in states or job["state"] not in END, job
            return job["state"] in states and job

        return wait_for(reached, timeout, what=f"job {job_id}")

    def ready(self, job_id, timeout=60):
        return self.wait(job_id, "ready", timeout=timeout)

    def download(self, fid, headers=None):
        return self.request("GET", f"/download?fid={fid}", headers=headers)

    def mp3(self, fid):
        answer = self.download(fid).expect(200)
        assert answer.headers["Content-Type"] == "audio/mpeg"
        return answer.body

    def delete(self, job_id):
        return self.request("DELETE", f"/jobs/{job_id}")

    def delete_all(self):
        """What this user has, so that the store stays small: the embedded one
        reads all of it for some of the tests' questions."""
        while jobs := self.jobs():
            for job in jobs:
                self.delete(job["id"]).expect(204)

    # curl

    def curl(self, *arguments, check=True):
        """Runs curl with the token and returns its standard output."""
        command = ["curl", "-sS", "--noproxy", "*", "--max-time", "60"]
        if self.token:
            command += ["-H", f"Authorization: Bearer {self.token}"]
        process = subprocess.run(
            command + [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if check:
            assert process.returncode == 0, process.stderr.decode()
        return process.stdout


def add_user(stack, address, *options, password="correct horse battery"):
    """Makes an account with v2m-user and its options, and logs in; returns its
    client."""
    environment = dict(os.environ, V2M_RUN=str(stack.run))
    if stack.ports:
        environment["V2M_PORT_BASE"] = str(stack.ports)
    subprocess.run(
        [str(ROOT / "v2mctl"), "user", "add", *options, address], cwd=ROOT,
        env=environment, input=password + "\n", text=True, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return Client(stack.url, address, password).login()
