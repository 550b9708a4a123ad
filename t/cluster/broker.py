"""A RabbitMQ of three nodes, each of which is killed once while uploads run,
by signal 9, and started again: every upload that got its 201 ends once."""

import collections
import time

import nodes as brokers
from local import local_stack
from soak import SETTINGS, Soak, say

QUEUES = ("video", "video.dead", "mp3", "mp3.dead")

# A node is away for so many steps of soak's, of some seconds each, and has so
# many seconds to come back.
AWAY, PATIENCE = 3, 120


class Losses(Soak):
    """Of a node at a time instead of random faults."""

    def __init__(self, stack, nodes):
        super().__init__(stack, 1, 60)
        self.nodes = nodes
        self.while_away = []  # uploads accepted while the node was away
        self.leaders = []     # what each node led when it was killed
        self.steps = self.losses()

    def fault(self):
        """A step, so that run() sees often how much waits."""
        if next(self.steps, None) is None:
            self.until = 0

    def losses(self):
        for node in self.nodes:
            other = next(each for each in self.nodes if each is not node)
            led = [name for name, queue in other.queues().items()
                   if queue["leader"] == node.name]
            self.leaders.append(led)
            say(f"kill {node.name}, which leads {' '.join(led) or 'nothing'}")
            node.kill()
            self.faults += 1
            before = len(self.accepted)
            for wait in range(AWAY):
                yield wait + 1
            self.while_away.append(len(self.accepted) - before)
            say(f"start {node.name}: {self.while_away[-1]} uploads were"
                " accepted without it")
            node.start()
            until = time.monotonic() + PATIENCE
            while not node.runs() or self.incomplete(node):
                assert time.monotonic() < until, self.incomplete(node)
                yield node

    @staticmethod
    def incomplete(node):
        """The queues that are not on three nodes, all of them there."""
        queues = node.queues()
        return [f"{name}: {queues.get(name)}" for name in QUEUES
                if len(queues.get(name, {}).get("online", ())) != 3
                or len(queues[name]["members"]) != 3
                or queues[name]["type"] != "quorum"]


def main(tap, run):
    with brokers.cluster(run) as nodes:
        settings = dict(SETTINGS, V2M_AMQP_URL=brokers.url(nodes))
        with local_stack(run / "stack", **settings) as stack:
            tap.nothing(Losses.incomplete(nodes[0]),
                        "each queue is a quorum queue with three members")
            soak = Losses(stack, nodes)
            soak.run()
            wrong = soak.account()

            logs = {name: (stack.run / "logs" / f"{name}.log").read_text()
                    for name in ("gateway", "converter", "notifier")}
            mails = collections.Counter(
                mail["Message-ID"] for mail in stack.mails())

    tap.ok(len(soak.while_away) == 3 and all(soak.while_away),
           "uploads are accepted while a node is away, whichever it is",
           soak.while_away)
    tap.ok(any("video" in led for led in soak.leaders),
           "the leader of the videos' queue was among the killed",
           soak.leaders)
    for name in ("converter", "notifier"):
        tap.ok("the broker is back" in logs[name],
               f"the {name} lost its node and went on with another one")
    tap.ok(soak.refused == 0, "no upload was refused", soak.refused)
    tap.nothing(wrong, f"all of {len(soak.accepted)} accepted uploads ended"
                       " once, and nothing is left of anything")
    twice = [name for name, count in mails.items() if count > 1]
    tap.ok(len(mails) == len(soak.accepted) and not twice,
           "with one mail each", len(mails), twice)
