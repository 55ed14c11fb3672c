// What a page of metrics says of a server's queue, of every server whose names are known, and that
// no text leads astray.
#include "actors/worker/queue_metrics.hpp"

#include <catch2/catch.hpp>

namespace queue_metrics_test {

using namespace gristmill;
using namespace gristmill::worker;

TEST_CASE("each known server is understood by its own names", "[queue]") {
  struct Row {
    std::string page;
    QueueMetrics said;
  };
  const auto row = GENERATE(values<Row>({
      {"# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
       "# TYPE vllm:num_requests_running gauge\n"
       "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 32.0\n"
       "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 5.0\n",
       {5, 32}},
      {"sglang:num_running_reqs{model_name=\"m\"} 161.0\nsglang:num_queue_reqs{model_name=\"m\"} "
       "2826.0\n",
       {2826, 161}},
      {"tgi_queue_size 3\ntgi_batch_current_size 8\n", {3, 8}},
      {"llamacpp:requests_processing 4\nllamacpp:requests_deferred 0\n", {0, 4}},
      {"nv_inference_pending_request_count{model=\"m\",version=\"1\"} 7\n", {7, -1}},
  }));
  CAPTURE(row.page);
  CHECK(queue_metrics(row.page) == row.said);
}

TEST_CASE("the series of several engines add up", "[queue]") {
  CHECK(queue_metrics("vllm:num_requests_waiting{engine=\"0\"} 2\n"
                      "vllm:num_requests_running{engine=\"0\"} 10\n"
                      "vllm:num_requests_waiting{engine=\"1\"} 3\n"
                      "vllm:num_requests_running{engine=\"1\"} 20\n") == QueueMetrics{5, 30});
}

TEST_CASE("a part by priority does not count beside the whole", "[queue]") {
  CHECK(queue_metrics("sglang:num_queue_reqs{model_name=\"m\",priority=\"\"} 5\n"
                      "sglang:num_queue_reqs{model_name=\"m\",priority=\"10\"} 3\n"
                      "sglang:num_queue_reqs{model_name=\"m\", priority = \"0\"} 2\n") ==
        QueueMetrics{5, -1});
}

TEST_CASE("labels, blanks, times and forms of numbers are read as the format has them", "[queue]") {
  const std::string name = "tgi_queue_size";
  struct Row {
    std::string rest;
    std::uint64_t waiting;
  };
  const auto row = GENERATE(values<Row>({
      {" 4", 4},
      {"\t4\r", 4},
      {" {} 4", 4},
      {"{a=\"}\"} 4", 4},
      {"{a=\"x\\\"} 9\",b=\"{\\\\\"} 4", 4},
      {"{ a = \"1\" , b=\"2\", } 4 1700000000000", 4},
      {" 4.0e0 1700000000000", 4},
      {" 1.5E+2", 150},
      {" +4", 4},
      {" 0", 0},
      {" 999999999", 999'999'999},
      {" 1000000000", 1'000'000'000},
      {" 1000000001", 1'000'000'000},
      {" 1e300", 1'000'000'000},
  }));
  CAPTURE(row.rest);
  const auto said = queue_metrics("  " + name + row.rest + "\n");
  REQUIRE(said);
  CHECK(said->waiting == row.waiting);
}

TEST_CASE("what says nothing changes nothing", "[queue]") {
  const std::string good = "tgi_queue_size 4\n";
  const auto line =
      GENERATE(as<std::string>{}, "", "# tgi_queue_size 9", "tgi_queue_size NaN",
               "tgi_queue_size +Inf", "tgi_queue_size -1", "tgi_queue_size", "tgi_queue_size{a=\"b",
               "tgi_queue_size{a=\"b\\\"} 9", "tgi_queue_size{a=b} 9", "tgi_queue_size{a} 9",
               "tgi_queue_size{ 9", "tgi_queue_size{} x", "tgi_queue_size 9x",
               "tgi_queue_size_total 9", "my_tgi_queue_size 9", "}{\"", "{} 9", "\xff\xfe");
  CAPTURE(line);
  CHECK(queue_metrics(line + "\n" + good) == QueueMetrics{4, -1});
  CHECK(queue_metrics(good + line + "\n") == QueueMetrics{4, -1});
  CHECK_FALSE(queue_metrics(line + "\n"));
}

TEST_CASE("a page that ends within a line is read without that line", "[queue]") {
  const std::string page = "tgi_batch_current_size 8\ntgi_queue_size 123\n";
  CHECK(queue_metrics(page) == QueueMetrics{123, 8});
  for (std::size_t cut = 0; cut < page.size(); ++cut)
    CHECK_FALSE(queue_metrics(page.substr(0, cut)));
}

TEST_CASE("how many run is nothing without how many wait", "[queue]") {
  CHECK_FALSE(queue_metrics(""));
  CHECK_FALSE(queue_metrics("<html>not found</html>\n"));
  CHECK_FALSE(queue_metrics("vllm:num_requests_running 8\n"));
}

TEST_CASE("where a model is given, the series of another one are none of ours", "[queue]") {
  constexpr auto page = "vllm:num_requests_waiting{engine=\"0\",model_name=\"a\"} 3\n"
                        "vllm:num_requests_waiting{engine=\"1\",model_name=\"b\"} 4\n"
                        "vllm:num_requests_running{model_name=\"b\"} 5\n";
  CHECK(queue_metrics(page) == QueueMetrics{7, 5});
  CHECK(queue_metrics(page, "a") == QueueMetrics{3, -1});
  CHECK(queue_metrics(page, "b") == QueueMetrics{4, 5});
  CHECK_FALSE(queue_metrics(page, "c"));
  CHECK(queue_metrics("nv_inference_pending_request_count{model=\"c\",version=\"1\"} 2\n", "c") ==
        QueueMetrics{2, -1});
  CHECK(queue_metrics("llamacpp:requests_deferred 6\n", "c") == QueueMetrics{6, -1}); // no label
}

} // namespace queue_metrics_test
