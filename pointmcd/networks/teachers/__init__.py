"""Which image networks teach parts and shapes without labels? Each has its own file and reads like its paper."""
