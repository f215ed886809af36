"""The list of faults: each is a function that disturbs a run, and raises what was not kept."""

CASES = []


def case(name, short=False, needs=None):
    """Adds a fault.

    name: what is done, as the table tells it.
    short: whether the short form has it.
    needs: a function of the program that says why it cannot be done here; nothing where it can.
    """

    def add(body):
        CASES.append((name, short, needs, body))
        return body

    return add


class Bench:
    """Where faults are tried: runs, each in a folder of its own, and undisturbed ones to compare with."""

    def __init__(self, make, reference):
        # make(arguments..., ranks=): a new run; reference(arguments..., ranks=): one that went undisturbed.
        self.make, self.reference = make, reference
