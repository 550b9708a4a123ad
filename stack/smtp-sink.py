#!/usr/bin/python3
"""A mail server that delivers nothing: it keeps each mail in a Maildir."""

import argparse
import asyncio
import mailbox
import os
import signal

from aiosmtpd.smtp import SMTP


class Keeper:
    def __init__(self, maildir):
        os.makedirs(os.path.dirname(maildir) or ".", exist_ok=True)
        self.maildir = mailbox.Maildir(maildir)

    async def handle_DATA(self, server, session, envelope):
        trace = [f"Return-Path: <{envelope.mail_from}>"]
        trace += [f"Delivered-To: {to}" for to in envelope.rcpt_tos]
        content = "\r\n".join(trace + [""]).encode() + envelope.content
        key = self.maildir.add(content)
        print(f"kept a mail for {', '.join(envelope.rcpt_tos)} as {key}")
        return "250 kept"


async def serve(host, port, maildir):
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    keeper = Keeper(maildir)
    server = await loop.create_server(
        lambda: SMTP(keeper, hostname="localhost", enable_SMTPUTF8=True),
        host, port,
    )
    print(f"listening on {host}:{port}, keeping mail in {maildir}")
    async with server:
        await stop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", metavar="HOST:PORT",
                        default="127.0.0.1:8086")
    parser.add_argument("--maildir", default="maildir")
    arguments = parser.parse_args()

    host, _, port = arguments.listen.rpartition(":")
    asyncio.run(serve(host, int(port), arguments.maildir))


if __name__ == "__main__":
    main()
