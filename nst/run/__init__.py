"""What one run is: what it has read, how it is done, and how far it is.

`inputs.Inputs` and `plan.Plan` do not change once they are made; `state.State` does, step by step.
The loop itself is in `nst.stylize`.
"""
