"""How speed is measured: one reason a file.

``work`` is what everybody does: network, objective and images.  ``ours`` and ``pytorch`` do it,
each as a contender that takes steps; ``contenders`` makes them by name, and ``timing`` lets them
take turns.  ``children`` measures what needs a process of its own (peak memory, start-up),
``convergence`` counts evaluations, ``machine`` says what it ran on and how fast that convolves,
and ``tables`` is what a person sees.
"""
