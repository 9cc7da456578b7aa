# The Linux part of the groups, the one list of drivers, and what undoes their deeds.
faultline_bpf(datapath network/datapath.bpf.c)
faultline_bpf(drops network/drops.bpf.c)
faultline_library(network_driver SOURCES
    network/answer.cc network/chunk_store.cc network/corrupt.cc network/delay.cc network/delay_times.cc network/dns.cc network/driver.cc network/driver_rules.cc network/driver_state.cc network/drops.cc network/event_ring.cc network/filter_plan.cc network/fq_lanes.cc network/fq_pair.cc
    network/gateway.cc network/hold_queue.cc network/hook_place.cc network/host_names.cc network/hooks.cc network/hooks_look.cc network/hooks_undo.cc network/http.cc network/kernel.cc network/lane.cc network/lane_choice.cc
    network/lane_frame.cc network/lane_input.cc network/lane_passage.cc network/lane_rule.cc network/loopback.cc network/named_peers.cc
    network/partition.cc network/plan_answer.cc network/plan_change.cc network/plan_delay.cc network/plan_loss.cc
    network/bit_sets.cc network/network_sets.cc network/port_sets.cc network/rate_limit.cc network/refuse.cc network/reset.cc network/rule.cc network/rule_numbers.cc network/samples.cc network/tables.cc network/tap.cc
    network/transport.cc network/waiter.cc
  DEPS base bpf_util network_spec network_parameters datapath_bpf drops_bpf)
faultline_library(fault_drivers SOURCES drivers.cc DEPS network_driver)
faultline_library(undo_actions SOURCES undo.cc DEPS base bpf_util)
faultline_test(network_lane_test SOURCES
    network/answer_test.cc network/choose_test.cc network/corrupt_test.cc network/delay_test.cc network/dns_test.cc network/driver_state_test.cc network/gateway_test.cc
    network/hold_queue_test.cc network/host_names_test.cc network/http_test.cc network/lane_fuzz_test.cc network/lane_input_test.cc network/lane_rule_test.cc network/rule_numbers_test.cc network/rule_test.cc network/tables_test.cc
    network/test_frames.cc
  DEPS network_driver fault_registry)
