"""A real mail server that does as a test wants."""

import asyncio
import socket
import threading

import aiosmtpd.smtp
from aiosmtpd.smtp import AuthResult


class Smtp(aiosmtpd.smtp.SMTP):
    """A server's end of a connection, with a greeting of the test's choice."""

    def __init__(self, *arguments, greeting=None, **options):
        super().__init__(*arguments, **options)
        self.greeting = greeting

    async def push(self, status):
        if self.greeting is not None:
            status, self.greeting = self.greeting, None
        await super().push(status)


class MailServer:
    """A mail server that asks the test's function what to answer to EHLO,
    MAIL, RCPT and "." (the end of a mail): a reply, "hang", or None for what
    it would say by itself."""

    def __init__(self, answer, tls=None, **options):
        self.answer = answer
        self.mails = []
        self.recipient = None  # whom the present RCPT is about
        self.sessions = []
        self.logins = []
        self._loop = asyncio.new_event_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.url = f"smtp://127.0.0.1:{self.port}"
        self._server = self._loop.run_until_complete(self._loop.create_server(
            lambda: Smtp(self, authenticator=self.login, timeout=60,
                         **options),
            sock=listener, ssl=tls))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def login(self, server, session, envelope, mechanism, data):
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        # to a wrong one the server itself answers 535
        return AuthResult(success=login == ("ann", "secret-word"),
                          handled=False)

    async def ask(self, verb):
        reply = self.answer(verb)
        if reply == "hang":
            await asyncio.Event().wait()
        return reply

    async def handle_EHLO(self, server, session, envelope, hostname,
                          responses):
        session.host_name = hostname
        reply = await self.ask("EHLO")
        return responses if reply is None else [reply]

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = await self.ask("MAIL")
        if reply is None:
            envelope.mail_from = address
        return reply or "250 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.recipient = address
        reply = await self.ask("RCPT")
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 ok"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope.content)
        self.sessions.append(session)
        return await self.ask(".") or "250 taken"

    def close(self):
        async def end():
            self._server.close()
            tasks = [task for task in asyncio.all_tasks()
                     if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
