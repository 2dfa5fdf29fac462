"""Pictures and boxes over HTTP -> JSON: one model for each server, in batches across requests, within limits.

bytes (limited, timed) -> threads: decode, detect, cut -> [batch across requests] -> network -> a line of JSON
"""
