#include "cli/own_files.hpp"
#include "coordinator/journal/mark.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <cstring>
#include <unistd.h>
#include <zlib.h>

namespace own_files_test {

using namespace gristmill;
using namespace gristmill::cli;
using namespace gristmill::coordinator;
using namespace gristmill::store_test;
namespace fs = std::filesystem;

namespace {

constexpr const char* result_line =
    "{\"id\":\"batch_req_1_0\",\"custom_id\":\"a\",\"response\":null,\"gristmill\":{\"item\":0}}\n";

void put(const std::string& path, std::string_view text) {
  fs::create_directories(fs::path{path}.parent_path());
  std::ofstream{path, std::ios::binary} << text;
}

std::string text_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

InputSpec input(const std::string& path) {
  return {path, path};
}

// A directory with an input and a job's files.
struct Place {
  const TempDirectory temp;
  std::string in = temp / "in.jsonl", out = temp / "out.jsonl", state = temp / "out.jsonl.state";
  Place() { put(in, "{\"text\":\"precious\"}\n"); }
  OwnFiles own() const { return {out, state}; }
};

} // namespace

TEST_CASE("an input is known among the command's own files, whatever it is called") {
  const Place place;
  fs::create_symlink(place.temp / ".", place.temp / "link");
  CHECK(place.own().refuse_inputs({input(place.in)}));
  const auto refused = [&](const std::string& output, const std::string& state,
                           const std::string& path) {
    const auto apart = OwnFiles{output, state}.refuse_inputs({input(place.in), input(path)});
    CAPTURE(output, state, path);
    REQUIRE_FALSE(apart);
    CHECK(apart.error().code == ErrorCode::usage);
    CHECK_THAT(apart.error().message, Catch::Contains("INPUT " + path) &&
                                          !Catch::Contains("--restart") &&
                                          !Catch::Contains("remove it"));
  };
  for (const char* suffix : {"", ".part", ".summary.json", ".summary.json.part", ".state.stdin",
                             ".state.stdin.part", ".state/results-000001.jsonl"}) {
    const std::string path = place.out + suffix;
    put(path, "precious");
    refused(place.out, place.state, path);
    refused(place.out, place.state, place.temp / ("link/./out.jsonl" + std::string{suffix}));
    const std::string soft = place.temp / "soft.jsonl", hard = place.temp / "hard.jsonl";
    fs::create_symlink(path, soft);
    refused(place.out, place.state, soft);
    fs::create_hard_link(path, hard);
    refused(place.out, place.state, hard);
    fs::remove(soft);
    fs::remove(hard);
  }
  // OUTPUT itself is a link to the input.
  fs::create_symlink(place.in, place.temp / "out.link");
  CHECK_FALSE(OwnFiles(place.temp / "out.link", "").refuse_inputs({input(place.in)}));
  put(place.temp / "v.ids.jsonl", "precious");
  refused(place.temp / "v.npy", "", place.temp / "v.ids.jsonl");
}

TEST_CASE("an OUTPUT in an input directory or pattern may be meant as an input") {
  const Place place;
  const OwnFiles own{place.temp / "dir/deep/x.jsonl", place.state};
  const std::string dir = place.temp / "dir";
  CHECK(own.refuse_output_among({dir}));
  put(dir + "/deep/x.jsonl", result_line);
  CHECK_FALSE(own.refuse_output_among({place.in, dir}));
  CHECK_FALSE(own.refuse_output_among({dir + "/deep/*.jsonl"}));
  CHECK_FALSE(own.refuse_output_among({dir + "/d*"}));
  CHECK(own.refuse_output_among({place.in}));
  CHECK(own.refuse_output_among({dir + "/deep/*.csv"}));
}

TEST_CASE("nothing is replaced but what Gristmill wrote, and empty files") {
  const Place place;
  const auto keeps = [&](const std::string& path, std::string_view text) {
    put(path, text);
    const bool refused = !place.own().refuse_foreign();
    fs::remove(path);
    return refused;
  };
  for (const char* suffix : {"", ".part"}) {
    CHECK_FALSE(keeps(place.out + suffix, ""));
    CHECK_FALSE(keeps(place.out + suffix, result_line));
    CHECK(keeps(place.out + suffix, "{\"id\":\"a\"}\n"));
    CHECK(keeps(place.out + suffix, "{\"id\": \"batch_req_abc\", \"custom_id\": \"a\"}\n"));
    CHECK(keeps(place.out + suffix, "{\"id\":\"batch_req_1_0\",\"custom_id\":\"a\"}\nx"));
    CHECK_FALSE(keeps(place.out + ".summary.json" + suffix, "{\n  \"job\": \"job-1\",\n"));
    CHECK(keeps(place.out + ".summary.json" + suffix, "{\"job\":\"mine\"}"));
  }
  // A line that is longer than what is looked at.
  CHECK_FALSE(keeps(place.out, "{\"id\":\"batch_req_1_0\",\"x\":\"" + std::string(100'000, 'x')));

  const std::string packed = place.temp / "out.jsonl.gz";
  for (const bool ours : {true, false}) {
    gzFile file = ::gzopen(packed.c_str(), "wb");
    ::gzputs(file, ours ? result_line : "{\"text\":\"precious\"}\n");
    ::gzclose(file);
    CHECK(OwnFiles(packed, "").refuse_foreign().has_value() == ours);
  }
  const std::string array = place.temp / "v.npy";
  put(array, "\x93NUMPY mine");
  CHECK_FALSE(OwnFiles(array, "").refuse_foreign());
  put(place.temp / "v.ids.jsonl", "{\"row\":0,\"custom_id\":\"a\"}\n");
  CHECK(OwnFiles(array, "").refuse_foreign());
}

TEST_CASE("a restart removes what a run left, and keeps whatever else is there") {
  const Place place;
  {
    Opened journal{place.state};
    REQUIRE(journal.store);
    const std::string line{result_line, std::strlen(result_line) - 1};
    Group group = group_of(1, {{JobId{1}, 0, OutcomeClass::ok, line}});
    group.jobs = {new_job(1, "")};
    REQUIRE(journal.commit(std::move(group)));
  }
  put(place.out, result_line);
  put(place.out + ".summary.json", "{\n  \"job\": \"job-1\"\n}");
  for (const char* foreign : {"notes.txt", "results-1.jsonl", "jobs/1/results-000001.jsonl"}) {
    const std::string path = place.state + "/" + foreign;
    put(path, "precious");
    const auto removed = place.own().remove();
    REQUIRE_FALSE(removed);
    CHECK_THAT(removed.error().message, Catch::Contains(fs::path{foreign}.begin()->string()));
    CHECK(fs::exists(path));
    CHECK(fs::exists(place.state + "/results-000001.jsonl"));
    CHECK(fs::exists(place.out));
    fs::remove_all(place.state + "/" + fs::path{foreign}.begin()->string());
  }
  REQUIRE(place.own().remove());
  CHECK(fs::is_directory(place.state));
  CHECK_FALSE(fs::exists(place.state + "/journal.db"));
  CHECK_FALSE(fs::exists(place.state + "/results-000001.jsonl"));
  CHECK_FALSE(fs::exists(place.out));
  CHECK_FALSE(fs::exists(place.out + ".summary.json"));
  CHECK(fs::exists(place.in));
  CHECK(place.own().remove()); // again is harmless
}

TEST_CASE("a restart removes no file by its name alone") {
  const Place place;
  { Opened journal{place.state}; }
  for (const char* name :
       {"inputs.jsonl", "summary.json", "summary.json.part", "printed", "results.durable",
        "results-000007.jsonl", "scratch-ideas", "scratch-abcdef", "merge.index", "lock"}) {
    CAPTURE(name);
    const std::string path = place.state + "/" + name, before = text_of(path);
    put(path, "{\"my own\":\"notes\"}\n");
    const auto removed = place.own().remove();
    REQUIRE_FALSE(removed);
    CHECK_THAT(removed.error().message, Catch::Contains(name));
    CHECK(text_of(path) == "{\"my own\":\"notes\"}\n");
    CHECK(fs::exists(place.state + "/journal.db"));
    fs::remove(path);
    if (!before.empty()) put(path, before);
  }
  put(place.state + "/scratch-abcdef", ""); // a kill may leave it so
  CHECK(place.own().remove());
}

TEST_CASE("a journal of another program stays as it is, its mode too") {
  const Place place;
  const std::string journal = place.state + "/journal.db";
  const auto way = GENERATE(as<std::string>{}, "a text", "another's database", "a log alone");
  put(journal, way == "a log alone" ? "" : "dear diary\n");
  if (way == "a log alone") put(journal + "-wal", "dear diary\n");
  if (way == "another's database") {
    fs::remove(journal);
    REQUIRE(Database::open(journal).value().execute("CREATE TABLE diary(day TEXT)"));
  }
  fs::permissions(journal, fs::perms{0644});
  const std::string before = text_of(journal);
  CAPTURE(way);
  CHECK_FALSE(place.own().remove());
  CHECK_FALSE(take_state_directory(place.state));
  CHECK(text_of(journal) == before);
  CHECK((fs::status(journal).permissions() & fs::perms{0777}) == fs::perms{0644});
  CHECK_FALSE(fs::exists(place.state + "/lock"));
}

TEST_CASE("a journal is known before it was written back, and after") {
  const Place place;
  {
    Opened journal{place.state};
    REQUIRE(journal.store);
    CHECK(is_journal(place.state + "/journal.db").value());
  }
  CHECK(is_journal(place.state + "/journal.db").value());
}

TEST_CASE("a file that an option names is not this command's to write") {
  const Place place;
  put(place.out, result_line);
  CHECK(place.own().refuse_options({{"--prompt-file", ""}, {"--json-schema", place.in}}));
  const auto refused = place.own().refuse_options({{"--prompt-file", place.out}});
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Catch::Contains("--prompt-file: expected"));
  put(place.state + "/printed", "say {{text}}");
  CHECK_FALSE(place.own().refuse_options({{"--prompt-file", place.state + "/printed"}}));
}

TEST_CASE("a state directory that is not a journal's is not removed, and a link to one stays") {
  const Place place;
  put(place.state + "/mine.jsonl", "precious");
  CHECK_FALSE(place.own().remove());
  CHECK(fs::exists(place.state + "/mine.jsonl"));
  fs::remove_all(place.state);
  { Opened journal{place.temp / "real"}; }
  fs::create_symlink(place.temp / "real", place.state);
  REQUIRE(place.own().remove());
  CHECK(fs::is_symlink(place.state));
  CHECK_FALSE(fs::exists(place.temp / "real/journal.db"));
}

TEST_CASE("a table replaces an empty file and its own part, and nothing else") {
  const Place place;
  const std::string table = place.temp / "table.csv", header = "custom_id,content\n";
  const auto refused = [&](const std::string& path) {
    const auto free = OwnFiles::of_table(table, header).refuse_foreign();
    REQUIRE_FALSE(free);
    CHECK(free.error().code == ErrorCode::usage);
    CHECK_THAT(free.error().message, Catch::Contains(path + " does"));
  };
  const OwnFiles own = OwnFiles::of_table(table, header);
  CHECK(own.refuse_foreign());
  CHECK(own.refuse_options({{"OUT", place.in}}));
  put(table, "");
  put(table + ".part", header + "a,b\na,");
  CHECK(own.refuse_foreign());
  put(table + ".part", "my notes\n");
  refused(table + ".part");
  fs::remove(table + ".part");
  for (const std::string& text : {header + "a,b\n", std::string{result_line}}) {
    put(table, text);
    refused(table);
  }
  const auto same = own.refuse_options({{"OUT", place.temp / "." + "/table.csv"}});
  REQUIRE_FALSE(same);
  CHECK_THAT(same.error().message, Catch::StartsWith("OUT: expected a file"));
  CHECK(OwnFiles::of_table("-", header).refuse_foreign());
}

} // namespace own_files_test
