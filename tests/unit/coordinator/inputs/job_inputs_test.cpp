// What the inputs of a submitted job amount to, what they may not reach, and when uploads go.
#include "coordinator/disk/file_reader.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "coordinator/inputs/list.hpp"
#include "tests/unit/coordinator/http/http_api_harness.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"

#include <fmt/format.h>
#include <future>
#include <sys/stat.h>

namespace job_inputs_test {

using namespace gristmill;
using namespace gristmill::http_api_test;
using gristmill::http_api_test::json;

TEST_CASE("a directory or a pattern below the data root stands for its files") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data";
  fs::create_directories(data / "docs/sub");
  for (const char* name : {"docs/b.txt", "docs/a.md", "docs/sub/c.jsonl.gz", "docs/.hidden.txt",
                           "docs/image.png", "other.txt"})
    write(data / name, "text");
  const auto names = [&](const std::string& asked) {
    const auto answer = stage.submit(asked);
    INFO(asked << ": " << answer.body);
    REQUIRE(answer.status == 201);
    std::string all;
    for (const InputSpec& input : stage.node.submitted.back().inputs) {
      CHECK(input.path == fs::canonical(data / input.name).string());
      CHECK(input.bytes == 4);
      CHECK(input.modified_ns > 0);
      all += input.name + " ";
    }
    return all;
  };
  CHECK(names("docs") == "docs/a.md docs/b.txt docs/sub/c.jsonl.gz ");
  CHECK(names("docs/") == "docs/a.md docs/b.txt docs/sub/c.jsonl.gz ");
  CHECK(names("docs/*.txt") == "docs/b.txt ");
  CHECK(names("d*/*.txt") == "docs/b.txt ");
  CHECK(names((data / "docs/*").string()) ==
        (data / "docs/a.md ").string() + (data / "docs/b.txt ").string() +
            (data / "docs/image.png ").string() + (data / "docs/sub/c.jsonl.gz ").string());
  CHECK(stage.submit("docs/*.none").status == 400);
  CHECK(stage.submit("docs/none").status == 400);
}

TEST_CASE("no directory, pattern or link in one leads out of the data root") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data", secret = stage.node.directory / "secrets";
  fs::create_directories(data / "docs");
  fs::create_directories(secret);
  write(data / "docs/a.txt", "text");
  write(secret / "key.txt", "secret");
  fs::create_directory_symlink(secret, data / "out");
  for (const std::string& path :
       {secret.string(), std::string{"../secrets"}, std::string{"../secrets/*"},
        std::string{"docs/../../secrets/*.txt"}, (secret / "*.txt").string(),
        (data / "../secrets/*").string(), std::string{"out"}, std::string{"out/*"},
        std::string{"o*"}, std::string{"o*/*.txt"}, std::string{"/etc/pass*"},
        (stage.node.directory / "*/*.txt").string()}) {
    const auto answer = stage.submit(path);
    INFO(path << ": " << answer.body);
    CHECK(answer.status == 403);
  }
  CHECK(stage.submit("d*/../../secrets/*").status >= 400);
  // A directory with a link beside its files is refused as a whole; links to directories are none.
  CHECK(stage.submit(".").status == 201);
  CHECK(stage.node.submitted.back().inputs.size() == 1);
  fs::create_symlink(secret / "key.txt", data / "docs/link.txt");
  CHECK(stage.submit("docs").status == 403);
  CHECK(stage.submit("docs/*").status == 403);
  CHECK(stage.submit(".").status == 403);
  fs::remove(data / "docs/link.txt");
  fs::create_symlink("a.txt", data / "docs/link.txt");
  CHECK(stage.submit("docs").status == 201);
  CHECK(stage.node.submitted.back().inputs[1].path == fs::canonical(data / "docs/a.txt").string());
}

TEST_CASE("a pattern matches names only, and what it refuses names nothing from outside") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data", outside = stage.node.directory / "outside";
  fs::create_directories(data / "docs/.hidden");
  fs::create_directories(outside);
  write(outside / "secret-name.txt", "secret");
  write(data / "docs/a.txt", "text");
  write(data / "docs/.hidden/b.txt", "text");
  write(data / "docs/[x].txt", "text");
  fs::create_directory_symlink(outside, data / "link");
  for (const char* pattern : {".[.]/outside/*", ".?/outs*/*", "[.][.]/outside/*", "docs/.[.]/*",
                              ".*/outside/*", "docs/.[.]/.[.]/outside/*", "l*/*", "link/*.txt",
                              "*/../../outside/*", "./.[.]/outside/*"}) {
    const auto answer = stage.submit(pattern);
    INFO(pattern << ": " << answer.body);
    CHECK(answer.status >= 400);
    CHECK(answer.body.find("secret-name") == std::string::npos);
  }
  fs::remove(data / "link");
  const auto names = [&](const std::string& pattern) {
    const auto answer = stage.submit(pattern);
    INFO(pattern << ": " << answer.body);
    REQUIRE(answer.status == 201);
    std::string all;
    for (const InputSpec& input : stage.node.submitted.back().inputs) all += input.name + " ";
    return all;
  };
  CHECK(names("docs/*") == "docs/[x].txt docs/a.txt ");
  CHECK(names("docs/.h*/*") == "docs/.hidden/b.txt ");
  CHECK(names("./*/a.*") == "./docs/a.txt ");
  CHECK(names("*/\\[x].*") == "docs/[x].txt ");
  CHECK(names("d*/") == "docs/[x].txt docs/a.txt ");
  std::string deep = "*";
  for (int n = 0; n < 100'000; ++n) deep += "/a";
  CHECK(stage.submit(deep).status >= 400);
}

TEST_CASE("an input is noted as it was when its job was made, whichever way it comes in") {
  ApiStage stage;
  const fs::path file = stage.node.directory / "data/in.txt";
  write(file, "0123456789");
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours{1});
  struct stat about {};
  REQUIRE(::stat(file.c_str(), &about) == 0);
  const auto only = [&](const json& input) {
    const auto answer = stage.call("POST", "/api/v1/jobs",
                                   json{{"spec", {{"inputs", json::array({input})}}}}.dump());
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    return stage.node.submitted.back().inputs.at(0);
  };
  // What the client says of it does not count.
  InputSpec input = only(
      {{"path", "in.txt"}, {"name", "n"}, {"bytes", 3}, {"modified_ns", 7}, {"digest", "mine"}});
  CHECK(input.bytes == 10);
  CHECK(input.digest.size() == 32);
  CHECK(input.modified_ns == modified_ns(about));
  input = only({{"path", "in.txt"}, {"name", "n"}, {"offset", 2}, {"bytes", 3}});
  CHECK(input.bytes == 3);
  CHECK(input.modified_ns == modified_ns(about));
  const std::string uploaded =
      json::parse(stage.call("POST", "/api/v1/inputs?name=x", "abc").body)["path"];
  input = only({{"path", uploaded}, {"name", "n"}});
  CHECK(input.bytes == 3);
  CHECK(input.modified_ns == 0); // it is ours, and a copy of the state may have other times
  const std::string line = json{{"path", "in.txt"}, {"name", "n"}}.dump() + "\n";
  const std::string list =
      json::parse(stage.call("POST", "/api/v1/inputs?name=x", line).body)["path"];
  auto listed = InputList::open({only({{"path", list}, {"name", "list"}, {"files", 1}})});
  REQUIRE(listed);
  CHECK((*listed->at(0))->bytes == 10);
  CHECK((*listed->at(0))->modified_ns == modified_ns(about));
}

TEST_CASE("inputs that are looked through do not hold up other jobs") {
  char name[] = "/tmp/gristmill-inputs-test-XXXXXX";
  const fs::path state = ::mkdtemp(name);
  {
    auto uploads = uploads_test::open_uploads(state).value();
    JobInputs inputs{*uploads, {}, {}};
    std::promise<void> another;
    std::promise<bool> went_on;
    // While the first order is under way the second is carried out.
    inputs.admit(JobSpec{}, [&](const Result<JobSpec>&) {
      went_on.set_value(another.get_future().wait_for(std::chrono::seconds{60}) ==
                        std::future_status::ready);
    });
    inputs.discard("nothing", [&](const Result<>&) { another.set_value(); });
    CHECK(went_on.get_future().get());
  }
  fs::remove_all(state);
}

TEST_CASE("a data root that holds the state or lies within it is refused") {
  char name[] = "/tmp/gristmill-inputs-test-XXXXXX";
  const fs::path home = fs::canonical(::mkdtemp(name));
  fs::create_directories(home / "data/docs");
  fs::create_directories(home / "real/state/sub");
  fs::create_directory_symlink(home / "real/state", home / "data/link-to-state");
  fs::create_directory_symlink(home / "data", home / "link-to-data");
  const auto apart = [&](const std::string& data, const std::string& state) {
    const auto result = keep_apart(home / data, "--state", home / state);
    if (!result) CHECK(result.error().message.find("apart from --state") != std::string::npos);
    return result.has_value();
  };
  CHECK(apart("data", "real/state"));
  CHECK(apart("data", "data-2"));
  CHECK(apart("data", "data/link-to-state")); // links are followed before they are opened below
  CHECK_FALSE(apart("data", "data"));
  CHECK_FALSE(apart("data", "data/state"));
  CHECK_FALSE(apart("data", "data/docs/state/"));
  CHECK_FALSE(apart("data", "link-to-data/state"));
  CHECK_FALSE(apart("link-to-data", "data/state"));
  CHECK_FALSE(apart("real/state/sub", "real/state"));
  CHECK_FALSE(apart("real/state/sub", "data/link-to-state"));
  CHECK_FALSE(uploads_test::open_uploads(home / "data/state", home / "data"));
  CHECK(uploads_test::open_uploads(home / "real/state", home / "data"));
  fs::remove_all(home);
}

TEST_CASE("more inputs than a specification should hold become a list, up to the limit") {
  const std::uint64_t limit = 1'002;
  JobInputsLimits limits;
  limits.files_max = limit;
  const ApiStage stage{"", limits};
  const fs::path data = stage.node.directory / "data/docs";
  const std::size_t count = GENERATE(999u, 1'000u, 1'001u, 1'002u, 1'003u);
  fs::create_directories(data);
  for (std::size_t n = 0; n < count; ++n) write(data / fmt::format("{:05}.txt", n), "text");
  CHECK(stage.submit("docs").status == (count <= limit ? 201 : 400));
  if (count > limit) {
    CHECK(stage.files() == 0); // nothing stays of a list that was begun
    return;
  }
  const auto& inputs = stage.node.submitted.back().inputs;
  const bool listed = count > 1'000;
  CHECK(inputs.size() == (listed ? 1 : count));
  auto list = InputList::open(inputs);
  REQUIRE(list);
  CHECK(list->is_listed() == listed);
  CHECK(list->count() == count);
  CHECK((*list->at(0))->name == "docs/00000.txt");
  const auto last = static_cast<std::uint32_t>(count - 1);
  CHECK((*list->at(last))->path == fs::canonical(data / fmt::format("{:05}.txt", last)).string());
}

namespace {

json upload(const ApiStage& stage, std::string_view text) {
  return json::parse(stage.call("POST", "/api/v1/inputs?name=x", text).body);
}

RawHttp::Answer submit_list_at(const ApiStage& stage, const std::string& path, std::size_t files) {
  const json spec{{"inputs", {{{"path", path}, {"name", "list"}, {"files", files}}}}};
  return stage.call("POST", "/api/v1/jobs", json{{"spec", spec}}.dump());
}

RawHttp::Answer submit_list(const ApiStage& stage, const std::vector<json>& entries,
                            std::size_t files) {
  std::string text;
  for (const json& entry : entries) text += entry.dump() + "\n";
  return submit_list_at(stage, upload(stage, text)["path"], files);
}

} // namespace

TEST_CASE("a list of inputs is checked like the inputs themselves") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data";
  write(data / "in.txt", "text");
  write(stage.node.directory / "secret", "secret");
  fs::create_symlink("../secret", data / "link.txt");
  const auto entry = [](const std::string& path) { return json{{"path", path}, {"name", "n"}}; };
  const json good = entry("in.txt");
  for (const std::string& path :
       {std::string{"/etc/passwd"}, std::string{"link.txt"}, std::string{"../secret"},
        (stage.node.directory / "state/journal.db").string()}) {
    INFO(path);
    CHECK(submit_list(stage, {good, entry(path)}, 2).status == 403);
  }
  json nested = good, nameless = good, strange = good;
  nested["files"] = 1;
  nameless["name"] = "";
  strange["nonsense"] = 1;
  for (const json& odd : {nested, nameless, strange, json(1), entry("missing"), entry(".")}) {
    INFO(odd.dump());
    CHECK(submit_list(stage, {good, odd}, 2).status == 400);
  }
  CHECK(submit_list(stage, {good}, 2).status == 400);
  CHECK(submit_list(stage, {good, good}, 1).status == 400);
  const std::string long_line = "{\"path\":\"" + std::string(300'000, 'x') + "\"}\n";
  CHECK(submit_list_at(stage, upload(stage, long_line)["path"], 1).status == 400);
  // A list that others may write is none, and none of what was refused has left a list behind.
  write(data / "list", good.dump() + "\n");
  CHECK(submit_list_at(stage, "list", 1).status == 403);
  CHECK(stage.node.submitted.empty());
  CHECK(submit_list(stage, {good, good}, 2).status == 201);
  const InputSpec list = stage.node.submitted.back().inputs.at(0);
  auto opened = InputList::open({list});
  REQUIRE(opened);
  CHECK((*opened->at(1))->path == fs::canonical(data / "in.txt").string());
}

TEST_CASE("a list takes what was uploaded along, and a forgotten job takes both away") {
  ApiStage stage;
  const json pack = upload(stage, "0123456789");
  std::vector<json> entries;
  for (int n = 1; n < 4; ++n)
    entries.push_back(
        {{"path", pack["path"]}, {"name", fmt::format("{}.txt", n)}, {"offset", n}, {"bytes", 1}});
  REQUIRE(submit_list(stage, entries, 3).status == 201);
  const auto inputs = stage.node.submitted.back().inputs;
  REQUIRE(inputs.size() == 1);
  const fs::path list = inputs[0].path;
  // The client takes back its own; the job's stay.
  const std::string own = pack["id"];
  CHECK(stage.call("DELETE", "/api/v1/inputs/" + own).status == 200);
  CHECK(stage.call("DELETE", "/api/v1/inputs/" + own).status == 404);
  CHECK(stage.call("DELETE", "/api/v1/inputs/" + list.parent_path().filename().string()).status ==
        409);
  auto source = FileSource::open(inputs, stage.node.directory);
  REQUIRE(source);
  std::string text(100, '\0');
  CHECK((*source)->read(2, 0, text).value() == 1);
  CHECK(text[0] == '3');
  std::size_t content = 0;
  for (const auto& file : fs::directory_iterator{list.parent_path()})
    content += file.path() != list ? 1 : 0;
  CHECK(content == 1);
  stage.node.forgotten = inputs;
  CHECK(stage.call("DELETE", "/api/v1/jobs/job-7").status == 200);
  CHECK_FALSE(fs::exists(list.parent_path()));
}

TEST_CASE("an upload that two jobs have goes with the second") {
  ApiStage stage;
  const std::string path = upload(stage, "{}\n")["path"];
  for (int n = 0; n < 2; ++n) REQUIRE(stage.submit(path).status == 201);
  stage.node.forgotten = stage.node.submitted[0].inputs;
  stage.call("DELETE", "/api/v1/jobs/job-7");
  CHECK(fs::exists(path));
  stage.call("DELETE", "/api/v1/jobs/job-7");
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("of a job that the node refuses uploads stay, but no list of ours") {
  ApiStage stage;
  stage.node.refuses = true;
  const json pack = upload(stage, "0123456789");
  const std::size_t before = stage.files();
  const std::vector<json> entries{{{"path", pack["path"]}, {"name", "n"}, {"offset", 1}}};
  CHECK(submit_list(stage, entries, 1).status == 400);
  while (stage.files() > before + 2) std::this_thread::yield(); // the client's list
  CHECK(stage.submit(pack["path"]).status == 400);
  CHECK(stage.call("DELETE", "/api/v1/inputs/" + pack["id"].get<std::string>()).status == 200);
}

TEST_CASE("an upload that no job has goes when it is old") {
  const fs::path state = fs::temp_directory_path() / fmt::format("gristmill-old-{}", ::getpid());
  const auto put = [&](const std::string& id, std::chrono::seconds age) {
    fs::create_directories(state / "inputs" / id);
    write(state / "inputs" / id / "in.jsonl", "{}\n");
    fs::last_write_time(state / "inputs" / id, fs::file_time_type::clock::now() - age);
  };
  const std::chrono::hours day{24};
  put("input-old", day + std::chrono::minutes{1});
  put("input-young", day - std::chrono::minutes{1});
  put("input-unfinished", 2 * day); // its client is slow
  put("input-used", 2 * day);
  {
    auto uploads = uploads_test::open_uploads(state);
    REQUIRE(uploads);
    fs::rename(state / "inputs/input-unfinished/in.jsonl",
               state / "inputs/input-unfinished/in.jsonl.part");
    fs::last_write_time(state / "inputs/input-unfinished",
                        fs::file_time_type::clock::now() - 2 * day);
    CHECK((*uploads)->located(state / "inputs/input-young/in.jsonl"));
    CHECK_FALSE((*uploads)->located(state / "inputs/input-unfinished/in.jsonl.part"));
    const InputSpec used{(*uploads)->located(state / "inputs/input-used/in.jsonl").value(), "in"};
    JobInputs inputs{**uploads, {{used}}, {}};
    while (fs::exists(state / "inputs/input-old")) std::this_thread::yield();
  }
  CHECK(fs::exists(state / "inputs/input-young"));
  CHECK(fs::exists(state / "inputs/input-used"));
  CHECK(fs::exists(state / "inputs/input-unfinished"));
  fs::remove_all(state);
}

} // namespace job_inputs_test
