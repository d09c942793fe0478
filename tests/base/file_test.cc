// Files: what may be read, and that no half file ever stands under a final name.
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "base/expect_error.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

class File : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "octavo-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(File, WritesReadsAndMaps) {
  std::string text(3 << 20, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 >> 3);
  const fs::path path = folder_ / "a";
  write_file(path, text);
  EXPECT_EQ(read_file(path), text);
  const auto mapped = MappedFile::open(path);
  ASSERT_EQ(mapped->bytes().size(), text.size());
  EXPECT_EQ(std::memcmp(mapped->bytes().data(), text.data(), text.size()), 0);
  EXPECT_EQ(entries(), 1u);
}

// The fault happens in a child: a handler for SIGBUS is the process's, and a child tells by its exit code.
using MappingGuardDeathTest = File;

TEST_F(MappingGuardDeathTest, AShrunkFileEndsTheProcessNamingFileAndByte) {
  const fs::path path = folder_ / "weights";
  write_file(path, std::string(100000, 'y'));
  const auto read_shrunk = [&] {
    exit_on_mapping_faults();
    const auto other = MappedFile::open(path), mapped = MappedFile::open(path);
    fs::resize_file(path, 10);
    const volatile std::byte* bytes = mapped->bytes().data();
    static_cast<void>(bytes[50000]);
  };
  EXPECT_EXIT(read_shrunk(), ::testing::ExitedWithCode(4), "weights': cannot read byte 50000: the file has become shorter");
}

TEST_F(MappingGuardDeathTest, OtherFaultsTakeTheirCourse) {
  const fs::path path = folder_ / "a";
  write_file(path, std::string(100000, 'y'));
  const auto fault_elsewhere = [&] {
    exit_on_mapping_faults();
    MappedFile::open(path).reset();  // registered and gone
    const int fd = ::open(path.c_str(), O_RDONLY);
    const auto* bytes = static_cast<const volatile char*>(::mmap(nullptr, 100000, PROT_READ, MAP_PRIVATE, fd, 0));
    fs::resize_file(path, 10);
    static_cast<void>(bytes[50000]);
  };
  EXPECT_EXIT(fault_elsewhere(), ::testing::KilledBySignal(SIGBUS), "");
}

TEST_F(File, NoticesThatAMappedFileWasWrittenTo) {
  const fs::path path = folder_ / "a";
  write_file(path, std::string(5000, 'y'));
  const auto mapped = MappedFile::open(path);
  mapped->check_unchanged();
  write_file(path, "another file under the name");  // by rename: the mapping keeps the earlier one
  mapped->check_unchanged();
  const auto second = MappedFile::open(path);
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_ERROR(second->check_unchanged(), Code::kIo, "a': the file was changed while it was read: 27 bytes when it was opened, 31 now");
  const auto third = MappedFile::open(path);
  fs::last_write_time(path, fs::last_write_time(path) - std::chrono::seconds(1));
  EXPECT_ERROR(third->check_unchanged(), Code::kIo, "was changed");
  fs::remove(path);
  mapped->check_unchanged();
}

TEST_F(File, ReleasedPagesKeepTheirContent) {
  const std::string text(100000, 'y');
  write_file(folder_ / "a", text);
  const auto mapped = MappedFile::open(folder_ / "a");
  mapped->release(0, text.size());
  mapped->release(5, 50000);
  mapped->release(99999, SIZE_MAX);
  mapped->release(SIZE_MAX, 1);
  EXPECT_EQ(std::memcmp(mapped->bytes().data(), text.data(), text.size()), 0);
}

TEST_F(File, MappingOutlivesTheName) {
  write_file(folder_ / "a", "content");
  const auto mapped = MappedFile::open(folder_ / "a");
  fs::remove(folder_ / "a");
  EXPECT_EQ(std::memcmp(mapped->bytes().data(), "content", 7), 0);
}

TEST_F(File, EmptyFilesAreFine) {
  write_file(folder_ / "empty", "");
  EXPECT_EQ(read_file(folder_ / "empty"), "");
  EXPECT_TRUE(MappedFile::open(folder_ / "empty")->bytes().empty());
}

TEST_F(File, WritesInSmallAndLargePieces) {
  FileWriter writer(folder_ / "a");
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(static_cast<size_t>(i) * 4001, static_cast<char>('a' + i % 26));
    writer.write(piece);
    expected += piece;
  }
  const std::string large(5 << 20, 'L');
  writer.write(large);
  writer.write("end");
  expected += large + "end";
  EXPECT_EQ(writer.written(), expected.size());
  writer.commit();
  EXPECT_EQ(read_file(folder_ / "a"), expected);
}

TEST_F(File, WithoutCommitNothingChanges) {
  write_file(folder_ / "a", "before");
  {
    FileWriter writer(folder_ / "a");
    writer.write(std::string(3 << 20, 'z'));
    EXPECT_EQ(read_file(folder_ / "a"), "before");
  }
  EXPECT_EQ(read_file(folder_ / "a"), "before");
  EXPECT_EQ(entries(), 1u);  // the temporary is gone
}

TEST_F(File, CommitReplacesAtOnce) {
  write_file(folder_ / "a", "before");
  const auto old = MappedFile::open(folder_ / "a");
  write_file(folder_ / "a", "after!");
  EXPECT_EQ(read_file(folder_ / "a"), "after!");
  EXPECT_EQ(std::memcmp(old->bytes().data(), "before", 6), 0);  // a reader of the former file is not disturbed
}

TEST_F(File, TwoWritersOfOneNameDoNotMix) {
  FileWriter first(folder_ / "a"), second(folder_ / "a");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(read_file(folder_ / "a"), "first");
}

TEST_F(File, RefusesMissingFilesAndFolders) {
  EXPECT_ERROR(read_file(folder_ / "no"), Code::kNotFound, "no': cannot open: No such file");
  EXPECT_ERROR(MappedFile::open(folder_ / "no"), Code::kNotFound, "No such file");
  EXPECT_ERROR(read_file(folder_), Code::kInvalid, "expected a file, found a directory");
  EXPECT_ERROR(MappedFile::open(folder_), Code::kInvalid, "expected a file, found a directory");
  write_file(folder_ / "a", "x");
  EXPECT_ERROR(read_file(folder_ / "a" / "b"), Code::kNotFound, "Not a directory");
  EXPECT_ERROR(write_file(folder_ / "no" / "a", "x"), Code::kIo, "No such file");
  EXPECT_ERROR(write_file(folder_, "x"), Code::kIo, "is a directory");
  EXPECT_ERROR(write_file(folder_ / "", "x"), Code::kIo, "cannot write");
}

TEST_F(File, RefusesSpecialFilesWithoutBlocking) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_ERROR(read_file(fifo), Code::kInvalid, "expected a file, found a FIFO");  // no writer: a plain open would hang
  EXPECT_ERROR(MappedFile::open(fifo), Code::kInvalid, "found a FIFO");
  EXPECT_ERROR(write_file(fifo, "x"), Code::kIo, "cannot open for writing");  // no reader
  EXPECT_ERROR(read_file("/dev/zero"), Code::kInvalid, "found a device");
  EXPECT_ERROR(MappedFile::open("/dev/null"), Code::kInvalid, "found a device");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (folder_ / "s").string();
  ASSERT_LT(name.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_ERROR(read_file(name), Code::kInvalid, "found a socket");
  ::close(fd);
}

TEST_F(File, LimitsWholeReads) {
  write_file(folder_ / "a", "12345");
  EXPECT_EQ(read_file(folder_ / "a", 5), "12345");
  EXPECT_ERROR(read_file(folder_ / "a", 4), Code::kInvalid, "at most 4 are read");
  // Files of /proc say that they are empty.
  EXPECT_FALSE(read_file("/proc/self/status").empty());
  EXPECT_ERROR(read_file("/proc/self/status", 10), Code::kInvalid, "at most 10 are read");
}

// Through links in our own folder: a writer that wrongly renames would replace the link, never the machine's device.
TEST_F(File, FullDiskIsAnIoErrorAndTheDeviceStays) {
  const fs::path full = folder_ / "full", null = folder_ / "null";
  fs::create_symlink("/dev/full", full);
  fs::create_symlink("/dev/null", null);
  EXPECT_ERROR(write_file(full, "x"), Code::kIo, "full': cannot write: No space left on device");
  EXPECT_ERROR(write_file(full, std::string(3 << 20, 'x')), Code::kIo, "No space left");
  write_file(null, "x");
  EXPECT_TRUE(fs::is_symlink(full) && fs::is_character_file(full));
  EXPECT_TRUE(fs::is_symlink(null) && fs::is_character_file(null));
  EXPECT_EQ(entries(), 2u);
}

TEST_F(File, WritesIntoAFifoWithAReader) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  const std::string text(300000, 'p');  // more than a pipe holds: the writer has to wait
  std::thread writing([&] { write_file(fifo, text); });
  std::string got;
  char buffer[65536];
  while (got.size() < text.size()) {
    const ssize_t bytes = ::read(reader, buffer, sizeof buffer);
    if (bytes > 0)
      got.append(buffer, static_cast<size_t>(bytes));
    else
      std::this_thread::yield();
  }
  writing.join();
  ::close(reader);
  EXPECT_EQ(got, text);
  EXPECT_TRUE(fs::is_fifo(fifo));
}

TEST_F(File, ErrorsQuoteOddNames) {
  EXPECT_ERROR(read_file(folder_ / "a\nb\x1b[31m"), Code::kNotFound, "a\\x0ab\\x1b[31m'");
}

TEST_F(File, FreeBytesOfAPathThatDoesNotExistYet) {
  EXPECT_GT(free_bytes(folder_ / "x" / "y" / "z"), 0u);
  EXPECT_GT(free_bytes("relative-name-that-does-not-exist"), 0u);
}

TEST(FileSystem, KnowsThoseOfOtherMachines) {
  EXPECT_EQ(network_file_system_name(0x6969), "NFS");
  EXPECT_EQ(network_file_system_name(0xffffffffff534d42), "CIFS");  // f_type is signed
  EXPECT_EQ(network_file_system_name(0xef53), "");                  // ext4
  EXPECT_EQ(network_file_system("/proc/absent/below"), "");
}

}  // namespace
}  // namespace octavo
