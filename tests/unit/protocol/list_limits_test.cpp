// Lists whose length somebody else chooses: one less than the bound, the bound, one more.
#include "actors/kit/program/config_file.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/limits.hpp"
#include "protocol/rules/job_faults.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace list_limits_test {

using namespace gristmill;

namespace {

using Lines = std::vector<std::string>;

JobSpec valid() {
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  spec.shape.models = {"m"};
  return spec;
}

} // namespace

TEST_CASE("A job has a bounded number of endpoints, kept fields and inputs", "[limits]") {
  const auto endpoints = [](std::size_t count) {
    JobSpec spec = valid();
    for (std::size_t i = 0; i < count; ++i)
      spec.endpoints.emplace_back().url = fmt::format("http://h{}", i);
    return faults_of(spec);
  };
  CHECK(endpoints(limits::job_endpoints_max - 1).empty());
  CHECK(endpoints(limits::job_endpoints_max).empty());
  CHECK(endpoints(limits::job_endpoints_max + 1) ==
        Lines{"--endpoint: expected at most 256 endpoints, got 257"});
  const auto keep = [](std::size_t count) {
    JobSpec spec = valid();
    for (std::size_t i = 0; i < count; ++i) spec.shape.keep.push_back(fmt::format("f{}", i));
    return faults_of(spec);
  };
  CHECK(keep(limits::job_fields_max - 1).empty());
  CHECK(keep(limits::job_fields_max).empty());
  CHECK(keep(limits::job_fields_max + 1) == Lines{"--keep: expected at most 256 fields, got 257"});
  const auto inputs = [](std::size_t count) {
    JobSpec spec = valid();
    spec.inputs.assign(count, {"a", "a"});
    return faults_of(spec);
  };
  // As many as there may be do not fit into a specification with all that is said of each.
  CHECK(inputs(10'000).empty());
  for (const std::string& fault : inputs(limits::job_inputs_max))
    CHECK_THAT(fault, Catch::StartsWith("job: expected at most"));
  CHECK(inputs(limits::job_inputs_max + 1).front() ==
        "INPUT: expected at most 65536 inputs beside each other, got 65537");
}

TEST_CASE("A job with many faults is told the first of them", "[limits]") {
  JobSpec spec = valid();
  for (std::size_t i = 0; i < 10'000; ++i) spec.inputs.push_back({"", ""});
  CHECK(faults_of(spec).size() == limits::job_faults_max);
}

TEST_CASE("A configuration has a bounded number of pools and levels", "[limits]") {
  const auto pools = [](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += fmt::format("[[pool]]\nmodel = \"m{}\"\n", i);
    return parse_config(text, "f");
  };
  CHECK(pools(limits::pools_max - 1));
  CHECK(pools(limits::pools_max));
  REQUIRE_FALSE(pools(limits::pools_max + 1));
  CHECK_THAT(pools(limits::pools_max + 1).error().message, Catch::Contains("at most 1024"));
  const auto nested = [](std::size_t levels) {
    return parse_config("endpoint = " + std::string(levels, '[') + std::string(levels, ']'), "f");
  };
  for (const std::size_t levels : {10'000u, 1'000'000u}) CHECK_FALSE(nested(levels));
}

} // namespace list_limits_test
