"""The commands of `models`, as the tests run them: in this process."""

from pathlib import Path

from models.__main__ import main


def command(*arguments):
    """Run a command in this process; returns its exit code."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


def check_resuming(training, monkeypatch, *arguments):
    """A run of two epochs that is interrupted in the second, after its last step, and gone on with,
    ends with the weights of an undisturbed one. `training` is its class, and draws nothing."""
    monkeypatch.setattr(training, "pictures", lambda *_: None)
    assert command("train", *arguments, "--quiet", "--out", "whole") == 0
    original = training.evaluate
    calls = []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(training, "evaluate", interrupted)
        assert command("train", *arguments, "--quiet", "--out", "parts") == 130
    assert command("resume", "parts", "--quiet") == 0
    whole, parts = (Path(run, "model.safetensors").read_bytes() for run in ("whole", "parts"))
    assert whole == parts
