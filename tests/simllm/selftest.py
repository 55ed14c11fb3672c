#!/usr/bin/env python3
"""Proves that gristmill-simllm does what its headers say, seen from outside, over raw sockets.

Usage: selftest.py [PATH-OF-GRISTMILL-SIMLLM] [unittest arguments], or with the path in SIMLLM.
The proofs are in the check_*.py beside this file; reference.py predicts what the server must do.
"""

import os
import sys
import unittest

from check_answers import Answers, Protocol
from check_faults import Faults, Time
from check_limits import Crowd, Inputs, Limits
from check_records import Records

__all__ = ["Answers", "Crowd", "Faults", "Inputs", "Limits", "Protocol", "Records", "Time"]

if __name__ == "__main__":
    if len(sys.argv) > 1 and os.access(sys.argv[1], os.X_OK):
        os.environ["SIMLLM"] = sys.argv.pop(1)
    if "SIMLLM" not in os.environ:
        sys.exit("selftest.py: give the path of gristmill-simllm as argument or in SIMLLM")
    unittest.main()
