"""What a user is told of what there is: extras and their pip lines, shipped weights, what was probably meant."""
