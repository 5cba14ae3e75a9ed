"""Who is served what, by whom: the tenancy table and the world in which its cells are tried."""
