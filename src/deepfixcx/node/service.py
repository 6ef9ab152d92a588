"""The running node: it opens its folder, listens, processes and delivers until it is stopped."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from deepfixcx.errors import NodeError
from deepfixcx.node.config import Destination, NodeConfig
from deepfixcx.node.events import Log, quiet
from deepfixcx.node.inbox import UNWRITTEN, Answers, Inbox, opened
from deepfixcx.node.processing import Processing
from deepfixcx.node.receiving import Committing, Receiver
from deepfixcx.node.senders import Sender, Unreachable, make_sender

__all__ = ["Delivering", "Node", "running_node"]

LINGER_S: Final = 2.0
"""An association stays open so long after its last object."""

LONGEST_PAUSE_S: Final = 600.0
TIDY_S: Final = 3600.0


class Delivering(threading.Thread):
    """Sends the queue of one destination, with pauses that grow while it does not answer."""

    def __init__(
        self,
        place: Destination,
        sender: Sender,
        inbox: Inbox,
        log: Log,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"delivering {place.name}", daemon=True)
        self._place, self._sender, self._log = place, sender, log
        self._ledger, self._answers = inbox.ledger, Answers(inbox, place.name)
        self._wake, self._stopping = threading.Event(), stopping
        self._pause = 0.0
        self._last_sent = time.monotonic()

    def wake(self) -> None:
        """Look at the queue at once, unless the destination did not answer."""
        if not self._pause:
            self._wake.set()

    def stop(self) -> None:
        """End after the object in hand."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Send until `stop`."""
        try:
            with self._answers.open():
                while not self._stopping.is_set():
                    try:
                        again = self._step()
                    except sqlite3.OperationalError:
                        again = False
                        self._log.error("waits", reason=UNWRITTEN)
                        self._stopping.wait(5.0)
                    if not again:
                        self._wake.wait(self._pause or 0.5)
                        self._wake.clear()
        finally:
            self._sender.close()
            self._ledger.close()

    def _step(self) -> bool:
        """Send a batch; return whether to look again at once."""
        place = self._place
        self._answers.record()  # where the ledger could not be written before
        idle_s = place.idle_s if place.whole_studies else None
        batch = self._ledger.queue(place.name, self._sender.most, idle_s, place.retry_s)
        if not batch:
            if time.monotonic() - self._last_sent > LINGER_S:
                self._sender.close()
            return False
        try:
            for delivery, reason in self._sender.send(batch):
                self._record(delivery, reason)
                self._pause = 0.0
                if self._stopping.is_set():
                    return False
        except Unreachable as error:
            self._wait(str(error))
            return False
        finally:
            self._answers.record()
        self._last_sent = time.monotonic()
        return True

    def _record(self, delivery: Any, reason: str) -> None:
        if not reason:
            self._answers.add(delivery)
            return
        dead = delivery.refused + 1 >= self._sender.refusals
        self._ledger.refuse(delivery, reason, dead=dead)
        event = "dead letter" if dead else "refused"
        self._log.warning(
            event, destination=self._place.name, delivery=delivery.number, reason=reason
        )

    def _wait(self, reason: str) -> None:
        """Wait longer after each attempt, and give up what has waited too long."""
        place = self._place
        if not self._pause:
            self._log.error("unreachable", destination=place.name, reason=reason)
        self._pause = min(max(place.retry_s, 2 * self._pause), LONGEST_PAUSE_S)
        before = time.time() - place.give_up_h * 3600
        if count := self._ledger.give_up(place.name, before, reason):
            self._log.error("dead letters", destination=place.name, count=count, reason=reason)


class Node:
    """A node that runs in threads of this process and in its worker processes."""

    def __init__(self, config: NodeConfig, inbox: Inbox, log: Log) -> None:
        self._log = log
        self.config, self.inbox = config, inbox
        self.receiver = Receiver(config, inbox, log)
        self._processing = Processing(config, inbox, log)
        self._stopping = stopping = threading.Event()
        self._tidied = 0.0
        self._deliveries = [
            Delivering(place, make_sender(config, place, stopping), inbox, log, stopping)
            for place in config.destinations.values()
        ]
        self._sweeping = threading.Thread(name="sweeping", target=inbox.sweep, daemon=True)
        self._committing = Committing(config, inbox, log)
        self._web: list[Any] = []
        if config.web is not None:
            from deepfixcx.node.web import WebSide

            self._web = [WebSide(config, config.web, inbox, log)]
        inbox.on_new = self._processing.wake
        self._processing.on_made = self._wake_deliveries

    def _wake_deliveries(self) -> None:
        for each in self._deliveries:
            each.wake()

    @property
    def _threads(self) -> list[Any]:
        return [self._processing, *self._deliveries, self._committing, *self._web]

    def start(self) -> None:
        """Begin to listen, process and deliver."""
        self.inbox.clean("inbox", "made")
        try:
            self.receiver.start()
        except OSError as error:
            raise NodeError(
                f"cannot listen on {self.config.host}, port {self.config.port}: {error.strerror}; "
                "choose another port or address"
            ) from None
        self._sweeping.start()
        for each in self._threads:
            each.start()
        self._log.info("started", title=self.config.title, port=self.receiver.port)

    def stop(self) -> None:
        """Stop to listen, finish what is in hand, and end the workers."""
        self.receiver.stop()
        for each in self._threads:
            each.stop()
        for each in self._threads:
            if each.is_alive():
                each.join(timeout=60)
        self.inbox.stop_sweeping()
        if self._sweeping.is_alive():
            self._sweeping.join(timeout=60)
        self._log.info("stopped")

    def tidy(self) -> None:
        """Remove old rows of the ledger, at most once an hour."""
        now = time.monotonic()
        if now < self._tidied:
            return
        self._tidied = now + TIDY_S
        before = time.time() - self.config.limits.remember_days * 86400
        with suppress(sqlite3.OperationalError):  # a full disk: later, then
            looked_at = self.inbox.forget(before)
            while looked_at and not self._stopping.is_set():
                looked_at = self.inbox.forget(before, looked_at)

    def alive(self) -> bool:
        """Return whether all parts of the node run."""
        return all(each.is_alive() for each in self._threads)


@contextmanager
def running_node(config: NodeConfig, log: Log | None = None) -> Iterator[Node]:
    """Run a node until the block ends; its events go to `log`, by default standard error.

    It raises a `NodeError` or, where another node runs in its folder, an `InUseError`.
    """
    quiet()
    with ExitStack() as closing:
        ledger = closing.enter_context(opened(config.folder))
        node = Node(config, Inbox(config.folder, ledger, config.limits), log or Log())
        try:
            node.start()
            yield node
        finally:
            node.stop()


def run_until(config: NodeConfig, stopped: threading.Event) -> None:
    """Run a node until an event is set, or until a part of it has ended."""
    with running_node(config) as node:
        while not stopped.wait(1.0):
            node.tidy()
            if not node.alive():
                raise NodeError(
                    "a part of the node has ended, see the log; start the node again: nothing that "
                    "was acknowledged is lost"
                )
