"""A program with windows. An interpreter of Tcl that ends in another thread aborts the process."""

from __future__ import annotations

import tkinter

from witness import Soak, Witness


class Program:
    def __init__(self) -> None:
        self._soak = Soak()
        self._root = tkinter.Tk()
        self._turns = 0

    def run(self) -> None:
        self._root.after(0, self.work)
        self._root.mainloop()
        self._soak.tell()

    def work(self) -> None:
        if self._soak.is_over:
            self._root.destroy()
            return
        if self._soak.works:
            self.leave_garbage()
        self._root.after(5 if self._soak.works else 50, self.work)

    def leave_garbage(self) -> None:
        root = self._root
        for number in range(20):
            Witness(tkinter.StringVar(root, str(number)), tkinter.PhotoImage(width=4, height=4))
        window = tkinter.Toplevel(root)
        Witness(window, tkinter.Label(window, text="x"))
        window.destroy()
        if self._turns % 20 == 0:  # an interpreter of its own
            other = tkinter.Tk()
            Witness(other)
            other.update()  # it has something to do yet
            other.destroy()
        self._turns += 1


Program().run()
