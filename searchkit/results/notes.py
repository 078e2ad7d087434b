"""Keys of the notes that a record has, and results read."""

NOTE = "finals"  # final trainings by the number of the trial
TESTED = "test_accuracy"  # scores on the test part by the number of the trial
CLOCK = "clock"  # conditions and clocks of the processor while latencies were measured
TOOK = "took"  # seconds that the runs of a study have taken to their ends, where its time was not planned
BLOCKS = "block_costs"  # what the blocks of networks cost, by the number of the trial
