// Folders: names in order, removal that does not follow links, and errors that name the path.
#include "base/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "octavo/error.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    std::string name = (fs::temp_directory_path() / "octavo-folder-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~FolderTest() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(FolderTest, ListsNamesInOrder) {
  for (const char* name : {"b", "a", ".hidden"}) write_file(root_ / name, "");
  ::mkdir((root_ / "c").c_str(), 0777);
  EXPECT_EQ(list_folder(root_), (std::vector<std::string>{".hidden", "a", "b", "c"}));
  EXPECT_TRUE(list_folder(root_ / "c").empty());
}

TEST_F(FolderTest, ErrorsNameTheFolder) {
  try {
    list_folder(root_ / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_NE(std::string(error.what()).find("absent"), std::string::npos);
  }
  write_file(root_ / "file", "");
  EXPECT_THROW(list_folder(root_ / "file"), Error);
}

TEST_F(FolderTest, SaysWhetherAPathIsThere) {
  write_file(root_ / "file", "");
  fs::create_symlink("nowhere", root_ / "dangling");
  EXPECT_TRUE(path_exists(root_));
  EXPECT_TRUE(path_exists(root_ / "file"));
  EXPECT_FALSE(path_exists(root_ / "absent"));
  EXPECT_FALSE(path_exists(root_ / "file" / "below"));
  EXPECT_FALSE(path_exists(root_ / "dangling"));
}

TEST_F(FolderTest, RemovesTreesAndLeavesWhatLinksPointTo) {
  fs::create_directories(root_ / "tree" / "deep" / "deeper");
  fs::create_directories(root_ / "kept");
  write_file(root_ / "kept" / "file", "kept");
  write_file(root_ / "tree" / "deep" / "file", "");
  fs::create_directory_symlink(root_ / "kept", root_ / "tree" / "link");
  remove_tree(root_ / "tree");
  EXPECT_FALSE(path_exists(root_ / "tree"));
  EXPECT_EQ(read_file(root_ / "kept" / "file"), "kept");
  remove_tree(root_ / "tree");  // nothing there is fine
  remove_tree(root_ / "kept" / "file");
  EXPECT_TRUE(list_folder(root_ / "kept").empty());
  EXPECT_TRUE(try_remove_tree(root_ / "kept"));
}

}  // namespace
}  // namespace octavo
