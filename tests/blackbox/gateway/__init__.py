"""What the tests of the gateway share: upstreams, calls to make, and how records are found."""
