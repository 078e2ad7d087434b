"""Keys of the notes that a record has of trained networks."""

NOTE = "finals"  # final trainings by the number of the trial
TESTED = "test_accuracy"  # scores on the test part by the number of the trial
