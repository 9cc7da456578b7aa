# The pure part of the groups: what a parameter may be, and the one table of kinds.
faultline_library(network_spec SOURCES network/answer_spec.cc network/cidr.cc network/dns_name_spec.cc network/filter_spec.cc network/filter_spec_texts.cc network/http_spec.cc network/local_ports_spec.cc network/spec.cc network/stacking_spec.cc DEPS base network_parameters)
faultline_library(fault_registry SOURCES registry.cc parse.cc reflection.cc DEPS base network_spec)
faultline_test(fault_registry_test SOURCES registry_test.cc network/answer_spec_test.cc network/filter_spec_test.cc network/http_spec_test.cc network/local_ports_spec_test.cc network/spec_test.cc network/stacking_spec_test.cc DEPS fault_registry)
