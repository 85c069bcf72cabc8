"""Which intervals are announced, and which are in force until the peer knows them (RFC 5880 6.8.3). Pure."""


class Timing:
    """The intervals of one session, and its Poll sequence (RFC 5880 6.5).

    Args:
        tx: bfd.DesiredMinTxInterval, microseconds.
        rx: bfd.RequiredMinRxInterval, microseconds.

    Attributes:
        sent_tx: The desired interval that is in force for sending, microseconds.
        expected_rx: The required interval that is in force for detection, microseconds.
        is_polling: Packets carry the Poll bit.
    """

    def __init__(self, tx: int, rx: int) -> None:
        self.sent_tx, self.expected_rx = tx, rx
        self.is_polling = False
        self._announced = self._polled = (tx, rx)

    def announce(self, tx: int, rx: int, *, is_up: bool) -> None:
        """Change what is announced.

        What could make one end expect a packet that the other does not send yet, a longer
        interval for sending or a shorter one for receiving, waits for the answer to a Poll.
        Below Up nothing is lost by a wrong expectation, so all holds at once, and no Poll is needed.
        """
        if not is_up:
            self.sent_tx, self.expected_rx = tx, rx
            self._announced, self.is_polling = (tx, rx), False
            return
        if (tx, rx) == self._announced:
            return
        self._announced = (tx, rx)
        self.sent_tx = min(self.sent_tx, tx)
        self.expected_rx = max(self.expected_rx, rx)
        # A change during a Poll is not proved by the answer to what was polled before.
        if not self.is_polling:
            self.is_polling, self._polled = True, (tx, rx)

    def final_received(self) -> None:
        """The peer has answered: it knows what was polled."""
        if not self.is_polling:
            return
        tx, rx = self._announced
        self.sent_tx, self.expected_rx = (
            min(self._polled[0], tx),
            max(self._polled[1], rx),
        )
        self.is_polling = self._polled != self._announced
        self._polled = self._announced
