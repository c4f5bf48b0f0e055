"""Why a target is missed, where we know: printed below the table for each row that is not met."""

REASONS = {
    "CPU per fragment, 1 to 1,000 streams": "The path of a fragment is the same for any number of "
    "streams. Half of the rest is Python's garbage collector, which has a thousand streams to look "
    "at; the other half is memory that no longer fits the processor's caches. It lies "
    "between 1.15 and 1.25 on a machine whose caches are large, and up to 1.8 on others.",
    "time to the first fragment beside a computing thread: official / this": "Not possible in "
    "Python with one lock. Whoever gives it away, as each system call does, may get it back after "
    "5 ms only; the floor, one thread without any package, waits for it so often that it is not "
    "thirty times quicker either (see the row below it). Two threads wait once or twice more. "
    "`sys.setswitchinterval(0.001)` makes it four times as quick.",
    "`embed` of 1,000 texts, 768 numbers": "`json.loads` of a reply with 768 numbers takes a "
    "quarter of all that the official package does, in both: nothing that uses it can be more than "
    "four times as quick. With short vectors, where the packages themselves are compared, the "
    "target is met.",
    "`cancel()`, beside a computing thread": "All but a few µs of it is what waking a thread costs "
    "there in any program (see the row below it): the system call gives Python's lock away, and "
    "getting it back takes CPU time too. It follows the machine.",
    "CPU per outcome of a batch": "The best and the worst do not do the same work. One at a time, "
    "two threads wait for each other and for the server at each outcome, as in a loop of "
    "`respond()`, beside which it stands below; where many are under way, they share waits and "
    "system calls (the table counts them). What is left, the calls of Python, is the same. Two "
    "threads that use no package at all differ by several times; the next row adds no more than "
    "their difference to our best, and that alone is about the target.",
    "time of `count_tokens` one after another": "Two threads hand over to each other twice in each "
    "call; on a busy machine each of these takes longer.",
    "import time with the names used": "Half of what our own modules take goes into making attrs "
    "classes. What can wait is imported later (cattrs, tools, batches), and `import lmstudio` "
    "itself loads none of it.",
    "asyncio, `count_tokens` one after another": "Two threads hand over to each other twice in "
    "each call, and run with cold caches after that; the official `AsyncClient` has no other "
    "thread. There are no more hand-overs than two threads need without any package (the rows "
    "below it; 2.5 waits per call in both), and the CPU of a call is less than half of the "
    "official one's. In 16 tasks, which share the hand-overs, a call takes less than half of that.",
    "asyncio, upload of 30 MB": "It is the machine, which other programs use too, while one of the "
    "threads has Python's lock: the idle loop beside it is held for long as well, and so is one "
    "beside a thread that does the same without any package (the last row of the table). A machine "
    "that is quiet shows what the upload adds.",
    "upload of 30 MB: longest pause": "The worst of all rounds is judged, on a machine that other "
    "programs use too.",
}


def explain(verdicts):
    """A line for each row that is not met."""
    for row in verdicts:
        if row.met is False:
            known = [text for what, text in REASONS.items() if row.what.startswith(what)]
            words = f"- {row.what}: {row.measured} instead of {row.target}. {' '.join(known)}"
            yield words.rstrip()
