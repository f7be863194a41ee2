"""Child processes that never outlive us, and waits that always end."""

import os
import signal
import socket
import subprocess
import sys
import time


class Failed(Exception):
    """A program could not be installed or started; the text says what to look at."""


def say(text):
    print(f"sso: {text}", file=sys.stderr, flush=True)


def tail(path, lines=30):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError:
        return ""


RUNNING = set()


def run(command, limit, log, **options):
    """Runs a program to its end. Its output goes to `log`, which is quoted when it fails."""
    with open(log, "ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
        RUNNING.add(process)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = f"not ended within {limit} s"
        finally:
            end_group(process, signal.SIGKILL)
            RUNNING.discard(process)
    if status != 0:
        raise Failed(f"{os.path.basename(command[0])}: {status}\n{tail(log)}")


def end_group(process, how):
    """Signals a process and what it started; each of ours leads a group of its own."""
    try:
        os.killpg(process.pid, how)
    except (ProcessLookupError, PermissionError):
        pass


def end_running(*_):
    """For a signal that ends us while threads wait in `run`."""
    for process in list(RUNNING):
        end_group(process, signal.SIGKILL)
    os._exit(130)


class Children:
    """The programs that serve, ended together."""

    def __init__(self, folder):
        self.folder, self.running, self.commands = folder, {}, {}

    def log(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def start(self, name, command, env=None):
        self.commands[name] = (command, env)
        with open(self.log(name), "ab") as out:
            self.running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=self.folder, env=env,
            )

    def again(self, name):
        """Starts a stopped program as it was started before."""
        if self.running[name].poll() is not None:
            self.start(name, *self.commands[name])

    def stop(self, name):
        process = self.running[name]
        end_group(process, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        end_group(process, signal.SIGKILL)
        process.wait(10)

    def stop_all(self):
        for process in self.running.values():
            end_group(process, signal.SIGTERM)
        for name in reversed(self.running):
            self.stop(name)

    def until(self, name, check, limit):
        """Waits until `check()` is true, but not for a program that has ended."""
        end = time.monotonic() + limit
        while not check():
            if self.running[name].poll() is not None or time.monotonic() > end:
                state = self.running[name].poll()
                why = f"not ready within {limit} s" if state is None else f"ended with status {state}"
                raise Failed(f"{name}: {why}\n{tail(self.log(name))}")
            time.sleep(0.1)


def listens(host, port):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Ports:
    """Free ports. They stay taken until `release`, so that none is given out twice."""

    def __init__(self):
        self.held = []

    def free(self, host):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, 0))
        self.held.append(held)
        return held.getsockname()[1]

    def release(self):
        for held in self.held:
            held.close()
