"""Between the tables and the kernel: routes out, next hops and foreign routes in."""
