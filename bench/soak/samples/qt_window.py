"""A program with Qt's event loop. A timer that is ended in another thread crashes the process."""

from __future__ import annotations

import sys

from PySide6.QtCore import QCoreApplication, QObject, QTimer
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from witness import Soak, Witness

soak = Soak()
application = QApplication(sys.argv[:1])
window = QWidget()
window.show()


class Watcher(QObject):
    """Refers to its timer, and the timer to it."""

    def __init__(self) -> None:
        super().__init__()
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)
        self.timer.start(1000)
        self.witness = Witness(self)

    def tick(self) -> None:
        pass


def work() -> None:
    if soak.is_over:
        application.quit()
        return
    if soak.works:
        for number in range(20):
            Watcher()
            label = QLabel(str(number))
            Witness(label)
    QTimer.singleShot(5 if soak.works else 50, work)


QTimer.singleShot(0, work)
application.exec()
window.close()
QCoreApplication.processEvents()
soak.tell()
