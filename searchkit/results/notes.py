"""Keys of the notes that a record has, and results read."""

NOTE = "finals"  # final trainings by the number of the trial
TESTED = "test_accuracy"  # scores on the test part by the number of the trial
CLOCK = "clock"  # conditions and clocks of the processor while latencies were measured
BLOCKS = "block_costs"  # what the blocks of networks cost, by the number of the trial
