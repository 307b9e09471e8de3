"""How `bench/run` judges a row."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import unittest

from support.host import ROOT

LOADER = importlib.machinery.SourceFileLoader("bench_run", str(ROOT / "bench/run"))
BENCH = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", LOADER))
LOADER.exec_module(BENCH)


class Judged(unittest.TestCase):
    """Rows and what the table says of them."""

    def test_goals(self):
        cases = {
            "a\t0.5 s\t2 s\t>= 4 x": ["4.0 x faster", ">= 4 x"],
            "a\t0.5 s\t2 s\t>= 5 x": ["4.0 x faster", ">= 5 x (missed)"],
            "a\t2 s\t1 s\t<= 2.5 x": ["2.0 x the peer", "<= 2.5 x"],
            "a\t3 s\t1 s\t<= 2.5 x": ["3.0 x the peer", "<= 2.5 x (missed)"],
            "a\t1 s\t3 s\t<= 2.5 x": ["3.0 x faster", "<= 2.5 x"],
            "a\t21 ms\t\t<= 30 ms": ["", "<= 30 ms"],
            "a\t31 ms\t\t<= 30 ms": ["", "<= 30 ms (missed)"],
            "a\t4 moves\t32 moves\t<= 4 moves": ["8.0 x less", "<= 4 moves"],
            "a\t1 s\t2 s\t": ["2.0 x faster", ""],
        }
        for line, (ratio, goal) in cases.items():
            with self.subTest(line):
                self.assertEqual(BENCH.judged(line)[3:], [ratio, goal])

    def test_a_row_that_cannot_be_judged_is_a_mistake(self):
        lines = ["a\t1 s", "a\tsoon\t\t", "a\t1 s\t2 ms\t", "a\t1 s\t\t>= 4 x", "a\t1 s\t\t<= 3 ms", "a\t1 s\t2 s\t> 4 x"]
        for line in lines:
            with self.subTest(line), self.assertRaises(ValueError):
                BENCH.judged(line)
