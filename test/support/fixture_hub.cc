#include "test/support/fixture_hub.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

namespace weighhouse {
namespace {

constexpr const char* kControl = "/_fixture/";

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

/// The end of a test program whose fixture is broken.
[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "fixture hub: %s\n", what.c_str());
  std::abort();
}

Result<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FailErrno(errno, "pipe2");
  return Pipe{.reader = UniqueFd(ends[0]), .writer = UniqueFd(ends[1])};
}

std::string ScriptPath() {
  const char* source = std::getenv("WEIGHHOUSE_SOURCE_DIR");
  return std::string(source != nullptr ? source : WEIGHHOUSE_SOURCE_DIR) +
         "/test/fixture_hub/fixture_hub.py";
}

/// Starts python3 with standard input and output on the child's ends of the pipes.
Result<pid_t> Spawn(const std::vector<std::string>& arguments, int standard_input,
                    int standard_output) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, standard_input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, standard_output, STDOUT_FILENO);
  pid_t pid = -1;
  const int error_number = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error_number != 0) return FailErrno(error_number, "start " + arguments[0]);
  return pid;
}

/// Everything up to the first newline; what there was if the writer closed before.
std::string ReadLine(int fd) {
  std::string line;
  char byte = 0;
  while (true) {
    const ssize_t count = ::read(fd, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || byte == '\n') return line;
    line.push_back(byte);
  }
}

size_t Append(char* data, size_t size, size_t count, void* target) {
  static_cast<std::string*>(target)->append(data, size * count);
  return size * count;
}

}  // namespace

Result<std::unique_ptr<FixtureHub>> FixtureHub::Start(const std::string& models_directory,
                                                      std::vector<std::string> extra_arguments) {
  Pipe input = TRY(MakePipe());
  Pipe output = TRY(MakePipe());
  // Isolated from the caller's Python environment, and without site packages: it starts faster.
  std::vector<std::string> arguments = {"python3",       "-B", "-E", "-S", ScriptPath(), "--models",
                                        models_directory};
  for (std::string& argument : extra_arguments) arguments.push_back(std::move(argument));
  const pid_t pid = TRY(Spawn(arguments, input.reader.get(), output.writer.get()));
  std::unique_ptr<FixtureHub> hub(new FixtureHub(pid, std::move(input.writer)));
  output.writer.reset();
  const std::string line = ReadLine(output.reader.get());
  const nlohmann::json ready = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!ready.is_object()) {
    return Fail(Code::kUnavailable, "the fixture hub did not start; it said: " + line);
  }
  hub->hub_url_ = ready.value("hub", "");
  hub->cdn_url_ = ready.value("cdn", "");
  return hub;
}

FixtureHub::~FixtureHub() {
  standard_input_.reset();
  ::kill(pid_, SIGTERM);  // a child that the test forked may hold the pipe open as well
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void FixtureHub::SetFaults(std::string_view json) {
  Call("POST", std::string(kControl) + "faults", json);
}

void FixtureHub::ClearFaults() { Call("DELETE", std::string(kControl) + "faults", ""); }

void FixtureHub::SetTokens(std::string_view json) {
  Call("POST", std::string(kControl) + "tokens", json);
}

void FixtureHub::Reset() { Call("POST", std::string(kControl) + "reset", ""); }

void FixtureHub::Rescan() { Call("POST", std::string(kControl) + "rescan", ""); }

std::string FixtureHub::Stats() { return Call("GET", std::string(kControl) + "stats", ""); }

std::string FixtureHub::Log() { return Call("GET", std::string(kControl) + "log", ""); }

int64_t FixtureHub::Stat(std::string_view key) {
  const nlohmann::json stats = nlohmann::json::parse(Stats(), nullptr, /*allow_exceptions=*/false);
  const auto found = stats.find(key);
  if (found == stats.end() || !found->is_number_integer()) Die("no counter " + std::string(key));
  return found->get<int64_t>();
}

std::string FixtureHub::Commit(const std::string& repo) {
  const nlohmann::json stats = nlohmann::json::parse(Stats(), nullptr, /*allow_exceptions=*/false);
  return stats.value("commit", nlohmann::json::object()).value(repo, "");
}

std::string FixtureHub::Get(const std::string& path) { return Call("GET", path, ""); }

void FixtureHub::Post(const std::string& path, std::string_view body) { Call("POST", path, body); }

std::string FixtureHub::Call(const char* method, const std::string& path, std::string_view body) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  const std::string url = hub_url_ + path;
  std::string answer;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYPEER,
                   0L);  // loopback, and the test made the certificate
  curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &Append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  if (std::string_view(method) == "POST") {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.data() != nullptr ? body.data() : "");
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) Die(url + ": " + curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (path.starts_with(kControl) && status != 200)
    Die(std::string(method) + " " + path + ": " + answer);
  return answer;
}

}  // namespace weighhouse
