"""What training and prediction read: cuts and their arrays, batches, statistics, class weights."""
