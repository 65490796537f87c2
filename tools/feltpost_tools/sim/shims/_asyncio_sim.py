"""Task and TaskQueue of asyncio on the simulated clock.

The C version that the unix port has builtin stamps tasks with the real clock's ticks, which a long
fast run leaves behind by more than ticks can express. This one asks asyncio's own clock. The
attributes and their meanings are what asyncio.core relies on: ``state`` is True while nobody waits
for the task, a TaskQueue of those who do, None or False once it is done; ``data`` is what the task
waits on while it runs, and its outcome (an exception) after.
"""

# asyncio.core, which imports this module and is put here by boot.py once it is complete.
core = None


class TaskQueue:
    """Tasks by the time they are due, first come first served among equals."""

    def __init__(self):
        self._tasks = []

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def push(self, task, due_ms=None):
        task.data = None
        task.ph_key = core.ticks() if due_ms is None else due_ms
        place = len(self._tasks)
        while place and core.ticks_diff(self._tasks[place - 1].ph_key, task.ph_key) > 0:
            place -= 1
        self._tasks.insert(place, task)

    def pop(self):
        return self._tasks.pop(0)

    def remove(self, task):
        self._tasks.remove(task)


class Task:
    """A coroutine that the loop drives."""

    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return not self.state

    def cancel(self):
        if not self.state:
            return False
        task = self
        if task is core.cur_task:
            raise RuntimeError("can't cancel self")
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif core.ticks_diff(task.ph_key, core.ticks()) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True
