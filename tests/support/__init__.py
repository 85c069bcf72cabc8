"""What tests share: builders, fakes, real routers, generated pages."""
